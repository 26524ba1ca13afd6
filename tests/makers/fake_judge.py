"""Judges that a chat server of a test plays."""

from __future__ import annotations

import re
from typing import Any

from chat_server import Reply, says


def message(body: dict[str, Any]) -> str:
    """What the judge was asked."""
    (only,) = body["messages"]
    assert only["role"] == "user"
    return str(only["content"])


def code_of(text: str) -> str:
    return str(re.findall(r"\nVerdict (\w+): correct\n", text)[-1])


def part(text: str, name: str) -> str:
    """What stands between the marks of this name; they are found by their code."""
    code = code_of(text)
    (found,) = re.findall(rf"<{name} {code}>\n(.*?)\n</{name} {code}>", text, re.DOTALL)
    return str(found)


def fair(body: dict[str, Any], _: int = 0) -> Reply:
    """Compares the answer with the reference."""
    text = message(body)
    right = part(text, "answer").strip() == part(text, "reference answer").strip()
    return says(f"They are compared.\nVerdict {code_of(text)}: {'correct' if right else 'wrong'}")
