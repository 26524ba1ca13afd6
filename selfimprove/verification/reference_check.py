"""Checks that the verifier accepts the reference answers themselves, before any compute is spent."""

from __future__ import annotations

from collections.abc import Sequence

from selfimprove.records import Outcome, Problem
from selfimprove.verification.pool import OpenVerifierPool
from selfimprove.verification.report import Report


def rejected_references(pool: OpenVerifierPool, problems: Sequence[Problem]) -> list[tuple[Problem, Report]]:
    """The problems whose reference answer is not CORRECT, each with its report. No trace of such a problem can ever be accepted."""
    reports = pool.reports([(problem, problem.answer) for problem in problems])
    return [(problem, report) for problem, report in zip(problems, reports, strict=True) if report.outcome is not Outcome.CORRECT]
