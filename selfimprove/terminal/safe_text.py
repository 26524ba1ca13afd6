"""Text from models, data sets and files, made safe to print."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

from rich.markup import escape

INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\U000e0100-\U000e01ef]")
"""Characters without a shape that Unicode does not count among the control and format characters."""


def printable(text: str) -> str:
    """The text for one line of a console: markup escaped, and what a terminal would obey or not show as codes."""
    return escape(plain_line(text))


def plain_text(text: str) -> str:
    """The text with control characters, bidirectional marks and invisible characters shown as their codes; markup is left as it is."""
    return "".join(ascii(sign)[1:-1] if _hidden(sign) and sign not in "\n\t" else sign for sign in text)


def plain_line(text: str) -> str:
    """As `plain_text`, with newlines and tabs as codes too: for a name or an id, which must not look like another line."""
    return plain_text(text).replace("\n", "\\n").replace("\t", "\\t")


def plain_json(data: Any) -> str:
    """Indented JSON in which those characters are escaped: it shows the same on a terminal and parses to the same data."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    # Outside its strings, JSON holds no such character but newlines.
    return "".join(json.dumps(sign)[1:-1] if _hidden(sign) and sign != "\n" else sign for sign in text)


def _hidden(sign: str) -> bool:
    if " " <= sign <= "~":
        return False
    return unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") or INVISIBLE.match(sign) is not None
