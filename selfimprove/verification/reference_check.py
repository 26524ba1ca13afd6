"""Checks that the verifier accepts the reference answers themselves, before any compute is spent."""

from __future__ import annotations

from collections.abc import Sequence

from selfimprove.records import Outcome, Problem
from selfimprove.verification.pool import OpenVerifierPool


def rejected_references(pool: OpenVerifierPool, problems: Sequence[Problem]) -> list[tuple[Problem, Outcome]]:
    """The problems whose reference answer is not CORRECT, each with its outcome. No trace of such a problem can ever be accepted."""
    outcomes = pool.verify_answers([(problem, problem.answer) for problem in problems])
    return [(problem, outcome) for problem, outcome in zip(problems, outcomes, strict=True) if outcome is not Outcome.CORRECT]
