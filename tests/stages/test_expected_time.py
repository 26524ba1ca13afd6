"""How long a run is expected to take, against runs that were timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from places import WORKFLOWS

from selfimprove.cluster import machine_speed
from selfimprove.cluster.machine_speed import speed_here
from selfimprove.problems.sets import ProblemSets
from selfimprove.records import Problem, Stage
from selfimprove.stages import expected_time
from selfimprove.stages.expected_time import Yields, estimate, time_left, whole_time
from selfimprove.storage.run_folder import RunFolder
from selfimprove.workflow.files import load_workflow
from selfimprove.workflow.workflow import Workflow

PROBLEMS = [Problem(f"p{number}", f"What is {number} + 1?", str(number + 1), "test") for number in range(750)]


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    """FLOP/s of one core's matrix products, by the type that it computes in: those of a machine without instructions for bfloat16."""
    found = {"torch.float32": 135e9}
    monkeypatch.setattr(machine_speed, "_best_product", lambda size, dtype, device: found[str(dtype)])
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr("selfimprove.checkpoints.precision.fast_at_bfloat16", lambda: "torch.bfloat16" in found)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(expected_time, "_parameters", lambda model: 162_826_560)
    machine_speed.speed_here.cache_clear()
    yield found
    machine_speed.speed_here.cache_clear()


@pytest.fixture(scope="module")
def quickstart() -> Workflow:
    return load_workflow(WORKFLOWS / "quickstart.py", [])[0]


def minutes(workflow: Workflow) -> float:
    found = estimate(workflow, Path(), ProblemSets(PROBLEMS, PROBLEMS[:150]), {"sample": [(38, "p0")]})["minutes"]
    assert found is not None
    return found


@pytest.fixture(scope="module")
def two_generations() -> Workflow:
    """The quickstart's model, task and sampling in a run whose stages were timed in float32."""
    changes = ["generations=2", "reflection.revised=0", "reflection.confirmed=0", "selector.caps.per_problem=2", "mixture.earlier=true"]
    return load_workflow(WORKFLOWS / "reflection.py", changes)[0]


def test_a_run_is_expected_to_take_about_as_long_as_it_took(speeds: dict[str, float], quickstart: Workflow, two_generations: Workflow) -> None:
    # With the baseline, 24 minutes.
    assert 24 / 1.5 < minutes(two_generations) < 24 * 1.5
    machine_speed.speed_here.cache_clear()
    speeds["torch.bfloat16"] = 349e9
    # With AMX: 12.5 minutes without the baselines.
    assert 14 / 1.5 < minutes(quickstart) < 14 * 1.5


def test_a_continued_run_is_expected_to_take_what_is_left(speeds: dict[str, float], quickstart: Workflow, tmp_path: Path, tiny_model: Path) -> None:
    context: Any = SimpleNamespace(
        workflow=quickstart,
        run=RunFolder(tmp_path),
        problems=PROBLEMS,
        eval_problems=PROBLEMS[:150],
        test_problems=[],
        guards={},
        base=SimpleNamespace(path=str(tiny_model)),
    )
    left = [time_left(context)]
    places = ["generation-00/evaluation/score.json", "baselines/few_shot/evaluation/score.json"]
    for number in (1, 2, 3):
        places += [f"generation-0{number}/{name}" for name in ("accepted.parquet", "training.json", "evaluation/score.json")]
    for place in [*places, "baselines/answer_only/generation-03/training.json", "baselines/answer_only/evaluation/score.json"]:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
        left.append(time_left(context))
    assert left == sorted(left, reverse=True) and len(set(left)) == len(left) and left[-1] == 0


def test_what_a_probe_has_measured_gives_the_time_of_each_stage(speeds: dict[str, float], two_generations: Workflow, tmp_path: Path) -> None:
    base: Any = SimpleNamespace(path="")
    sets: Any = {"problems": PROBLEMS, "eval_problems": PROBLEMS[:150], "test_problems": [], "guards": {}}
    context: Any = SimpleNamespace(workflow=two_generations, run=RunFolder(tmp_path), base=base, **sets)
    measured = Yields(output=29.4, base_output=42, rows=224 / 750)
    found, slower = whole_time(context, 38, measured, speed_here()), whole_time(context, 38, measured, speed_here().slower(sampling=3, training=2))
    for stage, seconds in ((Stage.SAMPLE, 671), (Stage.TRAIN, 550), (Stage.EVALUATE, 140)):
        assert seconds / 1.35 < found[stage] < 1.35 * seconds
    assert 2.8 < slower[Stage.SAMPLE] / found[Stage.SAMPLE] < 3 and 1.8 < slower[Stage.TRAIN] / found[Stage.TRAIN] < 2
    taught = whole_time(context, 38, replace(measured, seconds=2.0), speed_here())
    assert taught[Stage.SAMPLE] > 1500 + 10
