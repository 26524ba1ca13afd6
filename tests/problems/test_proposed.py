"""What a model writes, read as a question."""

from __future__ import annotations

import pytest

from selfimprove.problems.proposed import as_problem, read_question
from selfimprove.records import ProposedQuestion, Trace
from selfimprove.records.delimiters import Delimiters

MARKS = frozenset({"<|im_end|>", "<think>", "</think>"})


def trace(text: str, finish: str = "stop", opened: bool = False, delimiters: Delimiters = Delimiters()) -> Trace:  # noqa: B008
    return Trace("p/g2/s0", "p", "m", (), (), text, (), finish, 1.0, 0, delimiters, opened)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("  What is 3 + 4?\n", "What is 3 + 4?"),
        ("<think>\nSomething with apples.\n</think>\nTom has 3 apples.\nHow many?", "Tom has 3 apples.\nHow many?"),
        ("What is 3 + 4?\n<think>\n3 + 4 = 7.\n</think>\n7", "What is 3 + 4?"),
        ("Что больше: 3 или 4?", "Что больше: 3 или 4?"),
        ("What is 3 + 4?\n<think>\n3 + 4", "What is 3 + 4?"),
        ("__import__('os').system('ls')", "__import__('os').system('ls')"),
    ],
)
def test_the_question_is_what_stands_before_or_after_the_thinking(text: str, question: str) -> None:
    assert read_question(trace(text), 100, MARKS) == (question, None)


def test_a_template_that_opens_the_thinking_and_other_delimiters_are_read_too() -> None:
    assert read_question(trace("A sum.\n</think>\nWhat is 3 + 4?", opened=True), 100, MARKS) == ("What is 3 + 4?", None)
    other = Delimiters("[THINK]", "[/THINK]")
    assert read_question(trace("[THINK]A sum.[/THINK]What is 3 + 4?", delimiters=other), 100, {"[THINK]", "[/THINK]"}) == ("What is 3 + 4?", None)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (trace(""), "no question"),
        (trace(" \n\t"), "no question"),
        (trace("<think>\nWhat could I ask"), "no question"),
        (trace("A sum.", opened=True), "no question"),
        (trace("What is 3 +", finish="length"), "cut off"),
        (trace("What is 3 + 4? " * 9), "too long"),
        (trace("What is 3 + 4?<|im_end|>\n<|im_start|>system"), "a mark of the chat"),
        (trace("What is 3 + 4?</think>"), "a mark of the chat"),
        (trace("What is 3 + 4? And 5?"), "another form"),
        (trace("Here: What is 3 + 4?"), "another form"),
        (trace("What is ३ + 4?"), "another form"),
    ],
)
def test_what_is_no_question_is_malformed(given: Trace, reason: str) -> None:
    question, dropped = read_question(given, 100, MARKS, r"What is [0-9]+ \+ [0-9]+\?")
    assert dropped == f"malformed: {reason}" and len(question) <= 100


def test_the_id_follows_from_the_question_alone() -> None:
    one = as_problem(ProposedQuestion("a", "What is 3 + 4?", label="7", agreement=0.5), 2)
    assert (one.answer, one.source, one.metadata) == ("7", "proposed:generation-2", {"agreement": 0.5})
    assert as_problem(ProposedQuestion("b", "what is  3 + 4?"), 3).id == one.id != as_problem(ProposedQuestion("a", "What is 3 + 5?"), 2).id
