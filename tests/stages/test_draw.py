"""Where a generation's problems come from: levels, and sources of single generations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from toy import Sums, ToySampler, ToyTrainer, make_toy_model, skill_of, toy_workflow

from selfimprove import AlwaysPromote, InlineCluster, Workflow, improve
from selfimprove.problems.curriculum import Curriculum
from selfimprove.records import Checkpoint, Request
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored

EASY, HARD, HARDEST = Sums(30), Sums(30, 100), Sums(30, 1000)


@dataclass(frozen=True)
class Grows(ToySampler):
    """Has twice its skill on small numbers, and half of it on large ones."""

    def _skill(self, checkpoint: Checkpoint, request: Request) -> float:
        size = int("".join(sign for sign in request.messages[-1]["content"].split("+")[0] if sign.isdigit()))
        return skill_of(checkpoint.path) * (2 if size < 100 else 1 if size < 1000 else 0.5)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_toy_model(tmp_path / "model", 0.3)


def growing(model: Path, **changes: object) -> Workflow:
    levels = Curriculum(levels=(EASY, HARD, HARDEST), advance_at=0.6)
    workflow = toy_workflow(model, problems=levels, eval_problems=10, sampler=Grows(), gate=AlwaysPromote(), trainer=ToyTrainer(0.004), generations=5)
    return replace(workflow, **changes)


def sampled(run: RunFolder, number: int) -> set[str]:
    """Where the problems of a generation come from, by their ids."""
    return {item.trace.problem_id.partition("/")[0] for item in stored(run.generation(number))}


def test_a_generation_samples_the_first_level_that_no_champion_has_passed(model: Path, tmp_path: Path) -> None:
    improve(growing(model), tmp_path / "run", InlineCluster)
    run = RunFolder(tmp_path / "run")
    reports = run.reports()
    now = 1
    for report in reports[1:]:
        while now < 3 and reports[report.generation - 1].levels[now].pass_at_1 >= 0.6:
            now += 1
        assert report.level == now
        assert sampled(run, report.generation) == {f"level-{now}"}
        assert {level: one.problems for level, one in report.levels.items()} == {1: 10, 2: 10, 3: 10}
    assert [report.level for report in reports][:2] == [None, 1] and reports[-1].level == 3
