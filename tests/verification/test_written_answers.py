"""Answers as models write them, and as an attacker would. Each line of the table: verifier, reference, options, answer, outcome, source.

Sources: `reported` (seen to be judged wrongly), `sibling` (another form of the same kind), `hostile` (meant to be taken for a right answer),
`free-form answers` (the style of chains of thought on GSM8K).
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from selfimprove import LastNumber
from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.verification import Exact, MultipleChoice, VerifierPool

TABLE = Path(__file__).parent / "pairs" / "written_answers.jsonl"
PAIRS = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]
VERIFIERS: dict[str, Verifier] = {verifier.name: verifier for verifier in (Exact(), LastNumber(), MultipleChoice())}


def problem(reference: str, options: object = None) -> Problem:
    return Problem("p", "?", reference, "test", {} if options is None else {"options": options})


def failures(outcomes: list[Outcome], pairs: list[list[object]]) -> list[str]:
    return [f"{pair[:4]!r:.200}: {outcome.value}, not {pair[4]}" for pair, outcome in zip(pairs, outcomes, strict=True) if outcome.value != pair[4]]


def test_the_table_holds_right_and_wrong_answers_to_every_verifier() -> None:
    counts = Counter((name, outcome == "correct") for name, _, _, _, outcome, _ in PAIRS)
    assert len(PAIRS) >= 220
    assert all(counts[name, right] >= 10 for name in VERIFIERS for right in (True, False)), counts
    assert {source for *_, source in PAIRS} == {"reported", "sibling", "hostile", "free-form answers"}


def test_every_answer_of_the_table_gets_its_verdict() -> None:
    outcomes = [VERIFIERS[name].verify(problem(reference, options), answer) for name, reference, options, answer, *_ in PAIRS]
    assert not (wrong := failures(outcomes, PAIRS)), "\n".join(wrong)


def test_every_answer_of_the_table_gets_its_verdict_from_a_pool() -> None:
    for name, verifier in VERIFIERS.items():
        pairs = [pair for pair in PAIRS if pair[0] == name]
        pool = VerifierPool(verifier, processes=1).open()
        try:
            outcomes = pool.verify_answers([(problem(reference, options), answer) for _, reference, options, answer, *_ in pairs])
        finally:
            pool.close()
        assert not (wrong := failures(outcomes, pairs)), "\n".join(wrong)


ITEMS = [*(pair[3] for pair in PAIRS if len(pair[3]) < 100), "3", "-3", "7", "3/7", "0.5", "1,000", "1e3", "A", "(B)", "c", "Paris", "café"]
JOINTS = [
    "",
    " ",
    ", ",
    " or ",
    " and ",
    " / ",
    ". ",
    "\n",
    " not ",
    " but ",
    " (",
    ") ",
    ": ",
    " Final answer: ",
    " The answer is ",
    " \\text{ or } ",
    "≈",
]
ANSWERS = st.tuples(st.sampled_from(ITEMS), st.sampled_from(JOINTS), st.sampled_from(ITEMS), st.sampled_from(JOINTS)).map("".join)
NUMBERS = ["3", "-3", "7", "10", "21", "37", "3/7", "7/3", "2", "4", "-4", "1000", "1000000", "6", "5", "0", "1/2", "3/4", "72"]
TEXTS = ["Paris", "Pаris", "café", "cafe", "x²", "x2", "5", "5.0", "５", "Maße", "Masse", "New York", "NewYork", "½", "1/2", ""]


@settings(max_examples=1000, deadline=None)
@given(ANSWERS)
def test_no_answer_is_right_for_two_references(answer: str) -> None:
    for verifier, references, options in (
        (LastNumber(), NUMBERS, None),
        (Exact(), TEXTS, None),
        (MultipleChoice(), list("ABCD"), ["red", "dark red", "vitamin C", "it is $x^2$"]),
        (MultipleChoice(), list("ABCDEFGHIJ"), None),
    ):
        right = [reference for reference in references if verifier.verify(problem(reference, options), answer) is Outcome.CORRECT]
        assert len(right) <= 1, (verifier.name, right)


@settings(max_examples=300, deadline=None)
@given(st.integers(-(10**7), 10**7), st.integers(-(10**7), 10**7), st.sampled_from(["or", "±", "/", ":", "<", ">", "≠", "not", "than"]))
def test_a_last_number_that_another_one_makes_doubtful_is_never_right(first: int, second: int, joint: str) -> None:
    for reference in {first, second}:
        assert LastNumber().verify(problem(str(reference)), f"{first} {joint} {second}") is not Outcome.CORRECT


@given(st.permutations("ABCD"), st.sampled_from([" or ", " and ", "/", ", ", " & ", " or option ", ") or (", " oder ", " and/or "]))
def test_two_choices_are_none(letters: list[str], joint: str) -> None:
    for reference in "ABCD":
        assert MultipleChoice().verify(problem(reference), f"{letters[0]}{joint}{letters[1]}") is Outcome.UNPARSEABLE
