"""Text from models, data sets and files as Markdown that shows it and does nothing else."""

from __future__ import annotations

import re

from selfimprove.terminal.safe_text import plain_line, plain_text

_MARKUP = re.compile(r"[\\`*_\[\]<>#|~&$]|:(?=//)|@(?=[\w-]+\.[A-Za-z])|(?<=www)\.", re.IGNORECASE)


def block(text: str, language: str = "") -> str:
    """A fenced block. Its fence is longer than any run of fence characters inside, so that no text can end it."""
    shown = plain_text(text)
    fence = "~" * max(4, _longest(shown, "~`") + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def code(text: str) -> str:
    """A code span on one line."""
    # A code span cannot be empty.
    shown = plain_line(text) or " "
    quote = "`" * (_longest(shown, "`") + 1)
    space = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{quote}{space}{shown}{space}{quote}"


def words(text: str) -> str:
    """Text on one line, also in the cell of a table: what would be markup, a link or a mention is escaped."""
    return _MARKUP.sub(r"\\\g<0>", plain_line(text))


def _longest(text: str, signs: str) -> int:
    """Length of the longest run of one of the signs."""
    return max((len(run[0]) for sign in signs for run in re.finditer(f"{re.escape(sign)}+", text)), default=0)
