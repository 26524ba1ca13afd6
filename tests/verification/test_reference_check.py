from selfimprove.records import Outcome, Problem
from selfimprove.verification import Exact, ReasoningGymScorer, VerifierPool, rejected_references


def problem(id: str, answer: str) -> Problem:
    return Problem(id, "q", answer, "test")


def test_a_verifier_that_accepts_every_reference_rejects_none() -> None:
    pool = VerifierPool(Exact(), processes=1).open()
    assert rejected_references(pool, [problem("a", "5"), problem("b", "</think>")]) == []
    pool.close()


def test_rejected_references_come_with_their_outcome_and_the_reason() -> None:
    pool = VerifierPool(ReasoningGymScorer(), processes=1).open()
    ((rejected, report),) = rejected_references(pool, [problem("a", "5")])
    assert rejected == problem("a", "5") and report.outcome is Outcome.CRASH
    assert str(report) == "crash (ValueError: problem a does not come from the source ReasoningGym; use another verifier)"
    pool.close()
