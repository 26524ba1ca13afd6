"""A table of references and answers, and families of answers that must not be right for two references."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import mark

from selfimprove.records import Outcome, Problem
from selfimprove.verification import Mathematical, VerifierPool

TABLE = Path(__file__).parent / "pairs" / "mathematical.tsv"


def rows() -> list[tuple[bool, str, str]]:
    """Whether the answer is right, the reference, the answer."""
    lines = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert all(len(line) == 4 and line[0] in "+-" and line[3] for line in lines)
    return [(sign == "+", reference, answer) for sign, reference, answer, _ in lines]


def test_every_pair_has_its_verdict() -> None:
    table = rows()
    assert len(table) > 250
    pool = VerifierPool(Mathematical(), deadline=20.0, processes=2).open()
    outcomes = pool.verify_answers([(Problem("p", "q", reference, "test"), answer) for _, reference, answer in table])
    pool.close()
    assert not {Outcome.CRASH, Outcome.TIMEOUT} & set(outcomes)
    assert [row for row, outcome in zip(table, outcomes, strict=True) if (outcome is Outcome.CORRECT) is not row[0]] == []


NUMBERS = st.integers(-12, 12).map(str) | st.sampled_from([r"\frac{1}{2}", "0.25", r"\sqrt{2}", "100", "7", "x"])
BETWEEN = [
    ", ", ",", "; ", " ", "\n", r" \quad ", r"\ ", " or ", " and ", r" \text{ or } ", r" \text{ and } ",
    r" \text{, } ", r" \lor ", r" \land ", r" \approx ",
    "≈", " ~ ",
    r" \neq ", r" \to ", r" \pm ", " / ", " : ", " = ", " > ", " < ", r" \ge ", r" \cup ", " but not ", ", not ", " (", " [",
    "} {", " | ", " & ", r" \\ ",
]  # fmt: skip
AROUND = ["{}", "${}$", r"\boxed{{{}}}", "The answer is {}.", "({})", r"\{{{}\}}", "x = {}", r"\text{{maybe }} {}", "**{}**", "~{}"]


@mark.slow
@given(NUMBERS, NUMBERS, st.sampled_from(BETWEEN), st.sampled_from(AROUND))
@settings(max_examples=100, deadline=None)
def test_no_answer_is_right_for_two_references(first: str, second: str, between: str, around: str) -> None:
    answer = around.format(first + between + second + {" (": ")", " [": "]"}.get(between, ""))
    candidates = {first, second, f"{first}, {second}", f"({first}, {second})"}
    right = {reference for reference in candidates if verdict(reference, answer) is Outcome.CORRECT}
    # A point and a list of two numbers are the same answer.
    assert len({reference.strip("()") for reference in right}) <= 1 or first == second


def verdict(reference: str, answer: str) -> Outcome:
    return Mathematical().verify(Problem("p", "q", reference, "test"), answer)


ODD = ["9" * 5000, "1e999", "1e-999", "(" * 2000, r"\frac{" * 500, "²" * 300, "\x00", "\ud800", "٣" * 400, r"\text{" * 200 + "3"]


@mark.slow
@mark.parametrize("answer", ODD, ids=range(len(ODD)))
def test_odd_answers_are_wrong_or_unreadable_within_the_deadline(answer: str) -> None:
    pool = VerifierPool(Mathematical(), deadline=5.0, processes=1).open()
    (outcome,) = pool.verify_answers([(Problem("p", "q", "3", "test"), answer)])
    pool.close()
    assert outcome is not Outcome.CORRECT
