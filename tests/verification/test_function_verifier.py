"""A plain function as a verifier."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
from pydantic import ValidationError
from toy import toy_workflow

from selfimprove import FunctionVerifier, LastNumber
from selfimprove.errors import UserError
from selfimprove.records import Grade, Outcome, Problem
from selfimprove.settings.paths import describe
from selfimprove.verification.pool import VerifierPool
from selfimprove.workflow.files import load_workflow

PROBLEM = Problem("p", "1 + 1?", "2", "mine")


def right(problem: Problem, answer: str) -> bool:
    return float(answer) == float(problem.answer)


@pytest.mark.parametrize(
    ("returned", "outcome", "score"),
    [
        (True, Outcome.CORRECT, 1.0),
        (False, Outcome.WRONG, 0.0),
        (1, Outcome.CORRECT, 1.0),
        (0.5, Outcome.WRONG, 0.5),
        (0.0, Outcome.WRONG, 0.0),
        (None, Outcome.UNPARSEABLE, 0.0),
        (Outcome.CORRECT, Outcome.CORRECT, 1.0),
        (numpy.bool_(True), Outcome.CORRECT, 1.0),
        (numpy.float32(0.25), Outcome.WRONG, 0.25),
        ("yes", Outcome.CRASH, 0.0),
        (2.0, Outcome.CRASH, 0.0),
        (float("nan"), Outcome.CRASH, 0.0),
    ],
)
def test_what_a_function_returns_is_a_verdict(returned: Any, outcome: Outcome, score: float) -> None:
    pool = VerifierPool(FunctionVerifier(lambda problem, answer: returned)).open()
    try:
        (report,) = pool.reports([(PROBLEM, "2")])
    finally:
        pool.close()
    assert (report.outcome, report.score) == (outcome, score)


def test_its_name_and_version_follow_from_the_function_and_describe_it_alike_in_every_process() -> None:
    verifier = FunctionVerifier(right)
    assert verifier.name == "right" and len(verifier.version) == 12 and verifier.version != FunctionVerifier(lambda problem, answer: True).version
    assert FunctionVerifier(right, name="mine", version="3").version == "3"
    assert "0x" not in json.dumps(describe(verifier)) and describe(verifier)["version"] == verifier.version


def test_it_says_whether_it_needs_a_reference() -> None:
    assert FunctionVerifier(right).needs_reference and not FunctionVerifier(right, reference=False).needs_reference


@pytest.mark.parametrize("function", [5, "right", lambda answer: True, lambda problem, answer, other: True])
def test_what_takes_no_problem_and_answer_is_refused(function: Any) -> None:
    with pytest.raises(ValidationError, match="a function of a problem and an answer is needed"):
        FunctionVerifier(function)


def test_a_workflow_takes_a_function(tiny_model: Path) -> None:
    assert toy_workflow(tiny_model, verifier=right).verifier == FunctionVerifier(right)
    assert isinstance(FunctionVerifier(partial(right)).verify(PROBLEM, "2"), Outcome | Grade)


WORKFLOW = """
from selfimprove import *
def close(problem, answer):
    return abs(float(answer) - float(problem.answer)) < 0.1
workflow = Workflow(name="w", problems=Table([{{"question": f"{{n}}?", "answer": n}} for n in range(9)]), eval_problems=3, 
    sampler=VLLM(), trainer=SFT(), verifier={verifier})
"""


def test_a_function_of_the_workflow_file_reaches_the_workers(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(WORKFLOW.format(verifier="close"))
    pool = VerifierPool(load_workflow(file)[0].verifier).open()
    try:
        assert pool.verify_answers([(PROBLEM, "2.01"), (PROBLEM, "3"), (PROBLEM, "two")]) == [Outcome.CORRECT, Outcome.WRONG, Outcome.CRASH]
    finally:
        pool.close()


@pytest.mark.parametrize("field", ["problems", "verifier", "sampler", "trainer", "prompter", "selector", "gate", "sampling", "mixture", "teacher"])
def test_a_class_in_place_of_an_object_is_told_in_one_line(tiny_model: Path, field: str) -> None:
    with pytest.raises(ValidationError, match=rf"{field}\n.*LastNumber is a class, not an object: write LastNumber\(\)"):
        toy_workflow(tiny_model, **{field: LastNumber})


def test_a_class_in_a_workflow_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(WORKFLOW.format(verifier="LastNumber"))
    with pytest.raises(UserError, match=r"own.py, line 5: Workflow: verifier: Value error, LastNumber is a class") as caught:
        load_workflow(file)
    assert "\n" not in str(caught.value)
