"""Thinking is split into thoughts exactly, and complete thoughts are stable."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfimprove.thinking.thoughts import split

WORDS = ["Wait", "wait", "But wait", "Alternatively", "Hmm", "Actually", "No", "oh", "hold on", " a minute", " for", "x = 3", "So"]
SIGNS = [",", ".", "...", "?", "—", " - ", " ", "  ", "\n", "\n\n", "```", "`", "\\", "\\[", "\\]", "]", "=", ":", "\t", "\r", "’", '"', "é"]
PIECES = st.sampled_from(WORDS + SIGNS)
TEXTS = st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60)


def texts(thinking: str) -> list[str]:
    return [thought.text for thought in split(thinking)]


@given(TEXTS)
def test_the_thoughts_together_are_exactly_the_thinking(thinking: str) -> None:
    thoughts = split(thinking)
    assert "".join(thought.text for thought in thoughts) == thinking
    assert all(thinking[thought.start : thought.end] == thought.text for thought in thoughts)
    assert all(thought.text.strip() for thought in thoughts) or len(thoughts) == 1


@given(TEXTS, TEXTS)
def test_thoughts_that_are_complete_stay_when_the_text_grows(thinking: str, more: str) -> None:
    complete = split(thinking)[:-1]
    assert split(thinking + more)[: len(complete)] == complete


@given(st.lists(PIECES, max_size=16).map("".join))
def test_thoughts_are_stable_character_by_character(thinking: str) -> None:
    whole = split(thinking)
    for length in range(len(thinking)):
        complete = split(thinking[:length])[:-1]
        assert whole[: len(complete)] == complete


@pytest.mark.parametrize(
    ("thinking", "thoughts"),
    [
        ("", []),
        (" \n", [" \n"]),
        ("\n4 + 3 = 7.\n7 - 2 = 5.\n", ["\n4 + 3 = 7.\n", "7 - 2 = 5.\n"]),
        ("One sentence. And another.\n\nA new paragraph.", ["One sentence. And another.\n\n", "A new paragraph."]),
        ("It is 12. Wait, no, 13. But wait. Is it?", ["It is 12. ", "Wait, no, 13. ", "But wait. Is it?"]),
        ("So 3. Alternatively use 4. Hmm... no.", ["So 3. ", "Alternatively use 4. ", "Hmm... no."]),
        ("It is 12. No. Wait, 13. Hmm... wait, 14.", ["It is 12. ", "No. Wait, 13. ", "Hmm... wait, 14."]),
        ("Hmm... wait, 13.", ["Hmm... wait, 13."]),
        ("12... wait, that's 13—hold on, 14", ["12... ", "wait, that's 13—", "hold on, 14"]),
        ("Boil it. Wait for 5 minutes. Wait times vary. He waits. Wait a minute before pouring.", None),
        ("Use it. Actually measured. Alternatives. Waiting, hmmed. Hold on to it.", None),
        ("We have:\n\n2x = 4\n\nSo x = 2.", ["We have:\n\n2x = 4\n\n", "So x = 2."]),
        ("3 * (4 + 5)\n= 3 * 9\n= 27\n27 - 1 = 26", ["3 * (4 + 5)\n= 3 * 9\n= 27\n", "27 - 1 = 26"]),
        ("2 - 8 = -6.\n-6 + 1 = -5.", ["2 - 8 = -6.\n", "-6 + 1 = -5."]),
        ("See:\n\\[\nx = 3\n\\]\nDone.", ["See:\n\\[\nx = 3\n\\]\n", "Done."]),
        ("So:\n```py\na = 1\n\nb = 2. Wait, c\n```\nIt works.", ["So:\n```py\na = 1\n\nb = 2. Wait, c\n```\n", "It works."]),
        ("```\na = 1\nWait, that is wrong.\nb", ["```\na = 1\n", "Wait, that is wrong.\n", "b"]),
        ("It is:\nWait, what?", ["It is:\n", "Wait, what?"]),
    ],
)
def test_lines_and_switches_begin_thoughts(thinking: str, thoughts: list[str] | None) -> None:
    assert texts(thinking) == ([thinking] if thoughts is None else thoughts)


@pytest.mark.parametrize(
    "piece", [" ", "\n", ".", ". ", "hm", "m", "—", "— ", " - ", "Wait ", "Wait, ", ". Wait", '."', ".)*]", "but ", "```\n", "\\\n", "=\n", "a. no "]
)
def test_time_is_linear_in_the_text(piece: str) -> None:
    start = time.process_time()
    split("Hmm" + piece * (400_000 // len(piece)))
    assert time.process_time() - start < 5
