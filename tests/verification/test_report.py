"""What a worker process may report about an answer."""

from __future__ import annotations

import math
from contextlib import suppress
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from pytest import mark, raises

from selfimprove.records import Grade, Outcome
from selfimprove.verification.report import Report

NUMBERS = st.sampled_from([0, 1, True, Fraction(1, 3), Fraction(10**20 - 1, 10**20)])
RETURNED = st.sampled_from(Outcome) | st.floats(0, 1).map(Grade) | NUMBERS.map(Grade)


@given(RETURNED)
def test_what_a_verifier_returns_survives_the_pipe(returned: Outcome | Grade) -> None:
    report = Report.of(returned)
    assert Report.decode(report.encode()) == report
    assert report.outcome is (Grade(float(returned.score)).outcome if isinstance(returned, Grade) else returned)
    assert report.score == float(returned.score)


@given(RETURNED)
def test_only_correct_scores_one_and_only_wrong_scores_in_between(returned: Outcome | Grade) -> None:
    report = Report.of(returned)
    assert (report.outcome is Outcome.CORRECT) == (report.score == 1)
    assert report.outcome is Outcome.WRONG or report.score in (0, 1)


@given(st.text())
def test_the_reason_of_a_crash_arrives(failure: str) -> None:
    report = Report.decode(Report.crash(failure).encode())
    assert (report.outcome, report.score) == (Outcome.CRASH, 0) and report.failure == failure.encode(errors="replace").decode()


@given(st.binary() | st.builds(lambda outcome, score, rest: f"{outcome} {score} {rest}".encode(), st.sampled_from(Outcome), st.floats(), st.text()))
def test_bytes_are_a_consistent_report_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        report = Report.decode(data)
        assert 0 <= report.score <= 1 and (report.score == 1) == (report.outcome is Outcome.CORRECT)


@mark.parametrize("score", [math.nan, math.inf, -0.01, 1.01, "0.5", None, 1j, [0.5]])
def test_a_score_is_a_number_from_0_to_1(score: object) -> None:
    with raises(ValueError, match="a score must be a number from 0 to 1, not "):
        Grade(score)  # type: ignore[arg-type]


@mark.parametrize("returned", [None, 0.5, True, "right", (Outcome.WRONG, 0.5)])
def test_anything_but_an_outcome_or_a_grade_is_refused(returned: object) -> None:
    with raises(ValueError, match="verify must return an Outcome or a Grade, not "):
        Report.of(returned)  # type: ignore[arg-type]
