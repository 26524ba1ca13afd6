from pytest import mark, raises

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.verification import MultipleChoice

COLOURS = ["red", "dark red", "vitamin C", "it is $x^2$"]


def judged(reference: str, answer: str, options: object = None) -> Outcome:
    return MultipleChoice().verify(Problem("p", "q", reference, "test", {} if options is None else {"options": options}), answer)


@mark.parametrize(
    "answer",
    [
        "B",
        " b\n",
        "(B)",
        "(b)",
        "B.",
        "B) dark red",
        "b) dark red",
        "**B**",
        "**B.** dark red",
        "$\\boxed{B}$",
        "\\boxed{\\text{B}}",
        "[B]",
        "The answer is B",
        "The answer is **B**.\n",
        "Answer: B",
        "I think it is B",
        "B, not C",
        "B: I'm sure",
        "A dog is not C, so B",
        "dark red",
        "Dark Red.",
        "It is dark red.",
    ],
)
def test_a_choice_can_be_named_in_many_ways(answer: str) -> None:
    for reference in ("B", "(b)", "dark red"):
        assert judged(reference, answer, COLOURS) is Outcome.CORRECT
    assert judged("A", answer, COLOURS) is Outcome.WRONG


@mark.parametrize("answer", ["A", "The answer is A because it is", "A is right", "A or so? The answer: A", "(A) red", "red", "Option A fits"])
def test_an_a_that_means_the_choice_is_not_taken_for_an_article(answer: str) -> None:
    assert judged("A", answer, COLOURS) is Outcome.CORRECT


@mark.parametrize(
    "answer",
    [
        "",
        "A dog",
        "I do not know",
        "none of them",
        "E",
        "(A) or (B)",
        "A or B",
        "A, B",
        "A and B",
        "A/B",
        "A B C D",
        "B? No: C",
        "(a) (b)",
        "The answer is A or B",
        "The answer is not B\n",
        "it isn't B",
        "B) vitamin C",
        "red or dark red",
        "\\boxed{A}\\boxed{B}",
        "ABCD",
        "B-",
    ],
)
def test_no_choice_or_more_than_one_is_unparseable(answer: str) -> None:
    assert judged("B", answer, COLOURS) is Outcome.UNPARSEABLE


def test_a_text_may_contain_the_letter_of_another_choice_and_markup() -> None:
    assert judged("C", "C) vitamin C", COLOURS) is Outcome.CORRECT
    assert judged("C", "vitamin C", COLOURS) is Outcome.CORRECT
    assert judged("D", "it is x^2", COLOURS) is Outcome.CORRECT


def test_an_explanation_may_mention_several_options() -> None:
    assert judged("C", "C. Unlike red and dark red it is healthy.", COLOURS) is Outcome.CORRECT


def test_options_may_be_a_mapping_or_missing() -> None:
    assert judged("Q", "second", {"P": "first", "Q": "second"}) is Outcome.CORRECT
    assert judged("J", "The answer is (J)") is Outcome.CORRECT
    assert judged("J", "The answer is (K)") is Outcome.WRONG


@mark.parametrize("reference", ["", "E", "A or B", "blue"])
def test_a_reference_that_is_not_a_choice_is_an_error(reference: str) -> None:
    with raises(ValueError, match="the reference answer of problem p is not a choice"):
        judged(reference, "B", COLOURS)


@mark.parametrize("options", [[1, 2], {"AB": "x"}, []])
def test_options_that_are_not_texts_are_an_error(options: object) -> None:
    with raises(ValueError, match="the options of problem p must be up to 26 texts"):
        judged("A", "A", options)


def test_it_is_a_verifier() -> None:
    assert isinstance(MultipleChoice(), Verifier)
