"""Rollouts that a training asks of the workflow's sampler, with toy parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from toy import OpenToyReinforcement, ToyPractice, ToyReinforcement, ToyRolloutSampler, ToySampler, make_toy_model, skill_of, toy_workflow

from selfimprove import GRPO, InlineCluster, Round, Sampling, Workflow, improve
from selfimprove.protocols import OpenVerifiers, Verifiers
from selfimprove.protocols.no_tracker import NoTracker
from selfimprove.records import Outcome, Problem, Trace, TrainingStep, Verdict
from selfimprove.storage.run_folder import RunFolder


class Steps(NoTracker):
    """Keeps the steps that it is told."""

    def __init__(self) -> None:
        self.steps: dict[int, list[TrainingStep]] = {}

    def log_training(self, generation, steps):  # type: ignore[no-untyped-def]
        self.steps[generation] = list(steps)


@dataclass(frozen=True)
class AllWrong(Verifiers):
    """Accepts nothing."""

    def open(self) -> OpenVerifiers:
        return self

    def verify(self, pairs: Sequence[tuple[Problem, Trace]]) -> list[Verdict]:
        return [Verdict(trace.id, Outcome.WRONG, None, "all wrong", "1", 0.0) for _, trace in pairs]

    def close(self) -> None: ...


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_toy_model(tmp_path / "model", 0.3)


def reinforced(model: Path, **changes: object) -> Workflow:
    """A cold start, then reinforcement on the sampler's rollouts."""
    second = Round(start_from="champion", sampling=Sampling(n=4, max_tokens=32), reinforcement=ToyReinforcement(**changes))
    return toy_workflow(model, sampler=ToyRolloutSampler(), rounds=(Round(), second))


def test_the_sampler_writes_the_rollouts_and_the_workflows_verifier_judges_them(model: Path, tmp_path: Path) -> None:
    told = Steps()
    improve(reinforced(model), tmp_path / "run", InlineCluster, told)
    run = RunFolder(tmp_path / "run")
    report = run.reports()[2]
    assert report.counts is not None
    assert report.counts.rollouts == 2 * 2 * report.counts.trained_on > report.counts.rollouts_right > 0
    assert sum(step.figures["rollouts_right"] for step in told.steps[2]) == report.counts.rollouts_right
    assert skill_of(report.candidate.path) == pytest.approx(min(0.95, skill_of(report.start.path) + 0.01 * report.counts.rollouts_right))
    # The log-probability of each of their 12 tokens has arrived.
    assert told.steps[2][0].tokens == 12 * told.steps[2][0].figures["rollouts"]
    assert not [path for path in (tmp_path / "run").rglob(".*")]


def test_verifiers_of_its_own_judge_the_rollouts(model: Path, tmp_path: Path) -> None:
    improve(reinforced(model, verifiers=AllWrong()), tmp_path / "run", InlineCluster)
    counts = RunFolder(tmp_path / "run").reports()[2].counts
    assert counts is not None and counts.rollouts_right == 0 < counts.rollouts


class Breaks(Exception):
    """What stops a run in these tests."""


@pytest.mark.parametrize("items", [1, 2, 3])
def test_a_run_that_broke_between_rollouts_ends_as_an_undisturbed_one(
    items: int, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It broke at the first request, after the first step, and at the second request, when weights of the first attempt were on disk."""
    improve(reinforced(model), tmp_path / "whole", InlineCluster)
    train = OpenToyReinforcement.train

    def breaking(self, *arguments):  # type: ignore[no-untyped-def]
        for number, item in enumerate(train(self, *arguments)):
            if number == items:
                raise Breaks
            yield item

    with monkeypatch.context() as patch:
        patch.setattr(OpenToyReinforcement, "train", breaking)
        with pytest.raises(Breaks):
            improve(reinforced(model), tmp_path / "broken", InlineCluster)
    improve(reinforced(model), tmp_path / "broken", InlineCluster)
    for name in ("training.json", "prompts.json", "checkpoint/model.safetensors", "evaluation/traces/shard-00000.parquet"):
        assert (tmp_path / "broken/generation-02" / name).read_bytes() == (tmp_path / "whole/generation-02" / name).read_bytes()
    assert not [path for path in (tmp_path / "broken").rglob(".*")]


@pytest.mark.parametrize("place", ["workflow", "round"])
def test_a_sampler_without_rollouts_is_refused_at_once(model: Path, place: str) -> None:
    reinforcement = GRPO()
    changes: dict[str, object] = (
        {"reinforcement": reinforcement} if place == "workflow" else {"rounds": (Round(), Round(reinforcement=reinforcement))}
    )
    with pytest.raises(ValueError, match=r"GRPO learns from rollouts of the sampler, which ToySampler does not give: set sampler=VLLM\(\), or"):
        toy_workflow(model, sampler=ToySampler(), **changes)
    toy_workflow(model, sampler=ToySampler(), reinforcement=GRPO(rollouts="trainer"))
    toy_workflow(model, sampler=ToySampler(), reinforcement=ToyPractice())
