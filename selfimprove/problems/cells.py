"""What a cell of a table says as text: a question, or a reference answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from selfimprove.errors import UserError

BOXED = re.compile(r"\\f?boxed\s*(?:\{|(?=[^\s{]))")


def cell_text(value: Any, column: str, where: str, role: str = "user") -> str:
    """The text of a cell: text, a finite number, `true` or `false`, a list of these joined by commas, or one turn of a chat.

    A chat is a list of messages with `role` and `content`: the question is its only user turn, the answer its last assistant turn.

    Raises:
        UserError: the cell is empty or something else; names the column and `where`.
    """
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        text = _turn(value, column, where, role) if _is_chat(value) else ", ".join(cell_text(one, column, where) for one in value)
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float) and not isfinite(value):
        raise UserError(f"{where}: {column!r} is {value}, not a finite number; correct it or remove the row")
    elif value is None or isinstance(value, str | int | float):
        text = "" if value is None else str(value).strip()
    else:
        raise UserError(f"{where}: {column!r} is {type(value).__name__}, not text, a number or a list of these; name another field")
    if not text:
        raise UserError(f"{where}: {column!r} is empty; fill it in or remove the row")
    return text


def _is_chat(value: Sequence[Any]) -> bool:
    return bool(value) and all(isinstance(turn, Mapping) and {"role", "content"} <= set(turn) for turn in value)


def _turn(chat: Sequence[Mapping[str, Any]], column: str, where: str, role: str) -> str:
    turns = [turn["content"] for turn in chat if turn["role"] == role]
    if not turns or (role == "user" and len(turns) > 1):
        raise UserError(f"{where}: the chat in {column!r} has {len(turns)} turns of the {role}, not one; name a column that holds the text alone")
    return cell_text(turns[-1], column, where)


def gsm8k_answer(solution: str, column: str, where: str) -> str:
    """What follows the last `####`, without commas between digits: `#### 1,234` gives `1234`."""
    _, mark, answer = solution.rpartition("####")
    if not mark or not answer.strip():
        raise UserError(f"{where}: {column!r} has no answer after ####; remove answer_from, or the row")
    return re.sub(r"(?<=\d),(?=\d{3})", "", answer.strip())


def boxed_answer(solution: str, column: str, where: str) -> str:
    r"""The content of the last `\boxed{…}`."""
    found = list(BOXED.finditer(solution))
    inside = (
        _balanced(solution[found[-1].end() :]) if found and found[-1][0].endswith("{") else solution[found[-1].end() :].split()[0] if found else ""
    )
    if not inside.strip():
        raise UserError(f"{where}: {column!r} has no \\boxed answer; remove answer_from, or the row")
    return inside.strip()


def _balanced(text: str) -> str:
    """The text up to the brace that closes one opened before it; empty if none does."""
    depth = 1
    for place, sign in enumerate(text):
        escaped = text[:place][-1:] == "\\"
        depth += 0 if escaped else (sign == "{") - (sign == "}")
        if not depth:
            return text[:place]
    return ""
