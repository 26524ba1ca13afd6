"""What others wrote, made safe to print."""

from __future__ import annotations

import unicodedata

from rich.markup import escape


def printable(text: str) -> str:
    """The text with markup escaped and every control character but a new line and a tab shown as its code: a terminal obeys those."""
    return escape(plain_text(text))


def plain_text(text: str) -> str:
    """The same without markup in mind."""
    return "".join(sign if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cf", "Cs") else ascii(sign)[1:-1] for sign in text)
