"""The model sees the options of a multiple-choice problem, once."""

from typing import Any

import pytest

from selfimprove import Exemplar, FewShot, PlainQuestion, Rationalization, ZeroShot
from selfimprove.commands.shown_options import hidden_options
from selfimprove.prompting.hints import hinted
from selfimprove.prompting.options import question_with_options
from selfimprove.records import Message, Problem

PROMPTERS = (PlainQuestion(), ZeroShot(), FewShot((Exemplar("Which?\nA. x\nB. y", "It is x.", "A"),)))
SHOWN = "Which is red?\nA. a lemon\nB. a cherry"


def problem(question: str = "Which is red?", **metadata: Any) -> Problem:
    return Problem("p", question, "B", "mine", metadata)


@pytest.mark.parametrize(
    "options", [["a lemon", "a cherry"], ("a lemon", "a cherry"), {"A": "a lemon", "B": "a cherry"}, {"a": "a lemon", "b": "a cherry"}]
)
@pytest.mark.parametrize("prompter", PROMPTERS, ids=lambda prompter: type(prompter).__name__)
def test_each_prompter_shows_the_options_below_the_question(prompter: Any, options: Any) -> None:
    assert prompter.messages(problem(options=options))[-1]["content"].startswith(SHOWN)
    assert hidden_options([prompter], [problem(options=options)]) is None


@pytest.mark.parametrize("options", [None, [], {"speed": 3}, [1, 2], "AB", 4])
def test_a_problem_without_options_is_asked_as_it_is(options: object) -> None:
    assert question_with_options(problem(options=options)) == question_with_options(problem()) == "Which is red?"


@pytest.mark.parametrize(
    "question",
    [
        SHOWN,
        "Which is red? (A) a lemon (B) a cherry",
        "Which is red?\nA) a lemon\nB) a cherry",
        "Which is red?\n(a) a lemon, (b) a cherry",
        "Which is red? A: a lemon, B: a cherry",
        "Which is red?\n**A.** a lemon\n**B.** a cherry",
    ],
)
def test_options_that_the_question_shows_are_not_repeated(question: str) -> None:
    assert question_with_options(problem(question, options=["a lemon", "a cherry"])) == question


@pytest.mark.parametrize("question", ["Is a lemon or a cherry red?", "Which is red?\nB. a lemon\nA. a cherry"])
def test_options_whose_letters_the_question_does_not_show_are_added(question: str) -> None:
    assert question_with_options(problem(question, options=["a lemon", "a cherry"])) == f"{question}\nA. a lemon\nB. a cherry"


def test_ten_options_have_ten_letters() -> None:
    assert question_with_options(problem(options=[f"number {n}" for n in range(10)])).endswith("\nI. number 8\nJ. number 9")


def test_a_hint_follows_the_options() -> None:
    assert hinted(PlainQuestion(), Rationalization(), problem(options=["a lemon", "a cherry"]))[-1]["content"] == f"{SHOWN}\n(The answer is B.)"


class Own:
    def messages(self, problem: Problem) -> tuple[Message, ...]:
        return (Message(role="user", content=problem.question),)


def test_a_prompter_that_hides_the_options_is_named() -> None:
    told = hidden_options([PlainQuestion(), Own()], [problem(), problem(options=["a lemon", "a cherry"])])
    assert told == "Own does not show the options of 1 of 1 problems that have some; first: p"
