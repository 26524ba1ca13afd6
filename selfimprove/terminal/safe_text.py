"""Text from models and data sets, made safe to print."""

from __future__ import annotations

import unicodedata

from rich.markup import escape


def printable(text: str) -> str:
    """The text with markup escaped and control characters shown as their codes, except newline and tab: a terminal would obey them."""
    return escape(plain_text(text))


def plain_text(text: str) -> str:
    """The text with control characters shown as their codes; markup is left as it is."""
    return "".join(sign if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cf", "Cs") else ascii(sign)[1:-1] for sign in text)
