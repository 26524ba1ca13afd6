"""What `selfimprove ask` shows while an answer is written."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from selfimprove import Budget, UserError
from selfimprove.commands.answer import _Screen, budget_of
from selfimprove.records.delimiters import THINK
from selfimprove.terminal.safe_text import plain_text
from selfimprove.thinking.traces import parse

PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<", "</", "think", ">", "4 + 3", "\n", "[red]", "\x1b[31m", " "]), max_size=14)


def shown(text: str, sizes: list[int], hide: bool, opened: bool = False) -> str:
    """The screen after the text arrived in pieces that end at these positions."""
    console = Console(file=StringIO(), width=10_000, color_system=None)
    screen = _Screen(console, hide)
    for size in sorted(sizes):
        screen.show(text[:size], parse(text[:size], opened=opened), THINK)
    screen.show(text, parse(text, opened=opened), None)
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return written[:-1]


@given(PIECES, st.lists(st.integers(0, 60), max_size=8), st.booleans())
def test_everything_is_shown_once_however_it_arrives(pieces: list[str], sizes: list[int], opened: bool) -> None:
    text = "".join(pieces)
    assert shown(text, sizes, False, opened) == plain_text(text)


@given(PIECES, st.lists(st.integers(0, 60), max_size=8))
def test_hidden_thinking_leaves_what_follows_it(pieces: list[str], sizes: list[int]) -> None:
    text = "".join(["<think>", *pieces])
    assert shown(text, sizes, True) == plain_text(parse(text).after.lstrip())


def test_limits_on_the_command_line_make_a_budget() -> None:
    assert budget_of(None, None, None, True) is None
    assert budget_of(5, 9, "2:4", True) == Budget(min_tokens=5, max_tokens=9, min_thoughts=2, max_thoughts=4)
    assert budget_of(None, None, ":3", True) == Budget(max_thoughts=3)
    assert budget_of(None, None, None, False) == Budget(max_tokens=0)


@pytest.mark.parametrize(
    ("limits", "message"), [((9, 5, None, True), "less than"), ((None, None, "x", True), "x"), ((3, None, None, False), "--no-think")]
)
def test_limits_that_make_no_sense_are_refused(limits: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        budget_of(*limits)
