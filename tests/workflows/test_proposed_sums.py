"""`workflows/proposed_sums.py`: its form and checker on the task's own questions, and a run with toy parts."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from places import WORKFLOWS
from toy import ToySampler, ToyTrainer, make_toy_model

from selfimprove import InlineCluster, Workflow, improve
from selfimprove.records import Checkpoint, Outcome, Problem, Request, Trace
from selfimprove.storage.run_folder import RunFolder
from selfimprove.workflow.files import load_workflow

ASKED = "State the final answer to the following arithmetic problem: "


@pytest.fixture(scope="module")
def workflow() -> Workflow:
    loaded, _ = load_workflow(WORKFLOWS / "proposed_sums.py")
    return loaded


def test_the_given_questions_have_its_form_and_its_checker_solves_them(workflow: Workflow) -> None:
    problems, rule = workflow.problems.load(), workflow.proposer
    assert rule and rule.checker and rule.form
    for problem in problems:
        assert re.fullmatch(rule.form, problem.question)
        assert rule.checker.verify(problem, problem.answer) is Outcome.CORRECT
        assert rule.checker.verify(problem, str(int(problem.answer) + 1)) is Outcome.WRONG
    with pytest.raises(ValueError, match="invalid literal"):
        rule.checker.verify(Problem("p", f"{ASKED}__import__('os') =", "", "proposed"), "0")


@dataclass(frozen=True)
class Adding(ToySampler):
    """Adds two or three numbers, and asks for sums of two."""

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        chance, asked = random.Random(request.seed), request.messages[-1]["content"]
        if asked.startswith(ASKED):
            first, *rest = asked.removeprefix(ASKED).removesuffix(" =").split()
            right = int(first) + sum(int(sign + term) for sign, term in zip(rest[::2], rest[1::2], strict=True))
            text = f"<think>\nI add.\n</think>\n{right if chance.random() < self._skill(checkpoint, request) else -99}"
        else:
            text = f"{ASKED}{chance.randrange(10)} + {chance.randrange(10)} - {chance.randrange(10)} ="
        return Trace(request.id, request.problem_id, checkpoint.id, (1,), (2,), text, (), "stop", request.temperature, request.seed)


def test_a_toy_model_goes_through_it(workflow: Workflow, tmp_path: Path) -> None:
    assert workflow.proposer
    small = {"problems": replace(workflow.problems, size=50), "eval_problems": 10, "test_problems": None, "also": (), "generations": 2}  # type: ignore[type-var]
    toys = {"base_model": str(make_toy_model(tmp_path / "model", 0.3)), "sampler": Adding(), "trainer": ToyTrainer(0.005)}
    improve(replace(workflow, **small, **toys, proposer=replace(workflow.proposer, questions=20)), tmp_path / "run", InlineCluster)
    _, first, second = RunFolder(tmp_path / "run").reports()
    assert first.proposed is None and second.proposed and second.proposed.kept and second.proposed.accepted
    assert second.proposed.checked == second.proposed.kept
