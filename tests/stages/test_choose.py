"""Two candidates: trained, and averaged with its start. The better one that gate and guards let through goes on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from killable import files_of, reports
from safetensors.numpy import load_file
from toy import Sums, ToySampler, ToyTrainer, make_toy_model, toy_workflow

from selfimprove import AlwaysPromote, Exact, Guard, InlineCluster, RandomSelection, Workflow, improve
from selfimprove.errors import UserError
from selfimprove.records import Checkpoint, Request, Score, TriedCandidate
from selfimprove.reports.table import summarize
from selfimprove.reports.trace_sources import choose
from selfimprove.settings.paths import describe
from selfimprove.stages.choose import best
from selfimprove.storage.fork import fork
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking.figures import of_report

FAR = 500


@dataclass(frozen=True)
class Reads(ToySampler):
    """Reads its skill from the weights. What it learns it loses on sums above `FAR`. Fails at its n-th trace if asked to."""

    left: ClassVar[int] = 0

    def _skill(self, checkpoint: Checkpoint, request: Request) -> float:
        skill = float(load_file(Path(checkpoint.path) / "model.safetensors")["skill"][0])
        return 1.4 - skill if int(re.findall(r"\d+", request.messages[-1]["content"])[0]) >= FAR else skill

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        type(self).left -= 1
        if type(self).left == 0:
            raise InterruptedError
        return super()._trace(checkpoint, request)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_toy_model(tmp_path / "models" / "base", 0.5)


def averaging(model: Path, **changes: object) -> Workflow:
    made = {"sampler": Reads(), "average": 0.5, "generations": 1, "first_prompter": None, "answer_only_baseline": False, "eval_problems": 20}
    return toy_workflow(model, **{**made, **changes})


def skill(checkpoint: Checkpoint) -> float:
    return float(load_file(Path(checkpoint.path) / "model.safetensors")["skill"][0])


def test_a_guard_that_refuses_the_trained_candidate_lets_its_average_through(model: Path, tmp_path: Path) -> None:
    run, guards = RunFolder(tmp_path / "run"), {"far": Guard(problems=Sums(80, FAR), verifier=Exact(), margin=0.3)}
    workflow = averaging(model, guards=guards, gate=AlwaysPromote(), generations=2, controls=(RandomSelection(),))
    kept = improve(workflow, run.root, InlineCluster)
    first = run.reports()[1]
    trained, averaged = first.tried["trained"], first.tried["averaged"]
    assert not trained.promote and "refused: guard far" in trained.why and averaged.promote
    assert (first.candidate, first.kept, first.score, first.guards) == (averaged.checkpoint,) * 2 + (averaged.score, averaged.guards)
    assert first.why == f"averaged candidate: {averaged.why}" and averaged.checkpoint.id == "generation-1-averaged"
    assert skill(averaged.checkpoint) == pytest.approx((0.5 + skill(trained.checkpoint)) / 2)
    assert first.tokens["evaluate"] == sum(one.score.tokens + one.guards["far"].score.tokens for one in first.tried.values())
    # The second generation is sampled by the averaged model, and its traces are what the reports read.
    assert run.reports()[2].start.id == averaged.checkpoint.id and kept.id == run.reports()[2].kept.id
    assert choose(run, "evaluation", 1).folder == run.root / "generation-01/averaged/evaluation"
    told = summarize(run)["generations"][1]
    assert [(name, one["passed"], one["chosen"]) for name, one in told["tried"].items()] == [("trained", False, False), ("averaged", True, True)]
    figures, loss = of_report(first), averaged.guards["far"].loss
    assert figures["averaging/trained_pass_at_1"] == trained.score.pass_at_1
    assert loss and figures["averaging/averaged_guard_far_loss"] == loss.loss
    # A control is averaged where the candidate was.
    assert (run.baseline("random_selection") / "generation-02" / "averaged" / "checkpoint").is_dir() == ("averaged" in run.reports()[2].candidate.id)
    # A fork reads its own copies.
    fork(run, RunFolder(tmp_path / "fork"), 2, describe(replace(workflow, average=None)))
    moved = RunFolder(tmp_path / "fork").reports()[1]
    assert {Path(one.checkpoint.path).relative_to(tmp_path).parts[0] for one in (*moved.tried.values(),)} == {"fork"}
    # The weights of the other candidate go with keep_checkpoints.
    improve(replace(workflow, keep_checkpoints="champion"), run.root, InlineCluster)
    assert not (run.generation(1) / "checkpoint").exists() and Path(kept.path).is_dir()


def candidate(name: str, right: float, promote: bool) -> TriedCandidate:
    checkpoint = Checkpoint(name, name, None, 1, "", "")
    return TriedCandidate(checkpoint, Score(name, 10, right, (0.0, 1.0), {}, {}, {}, 1), promote, "")


@pytest.mark.parametrize(
    ("trained", "averaged", "chosen"),
    [
        ((0.9, True), (0.8, True), "trained"),
        ((0.8, True), (0.9, True), "averaged"),
        ((0.9, False), (0.5, True), "averaged"),
        ((0.5, True), (0.9, False), "trained"),
        ((0.8, True), (0.8, True), "averaged"),
        ((0.9, False), (0.8, False), "trained"),
        ((0.8, False), (0.8, False), "averaged"),
    ],
)
def test_the_order_of_candidates(trained: tuple[float, bool], averaged: tuple[float, bool], chosen: str) -> None:
    assert best({"trained": candidate("trained", *trained), "averaged": candidate("averaged", *averaged)}) == chosen
    assert best({"trained": candidate("trained", *trained)}) == "trained"


def test_an_average_is_resumed_byte_for_byte_and_leaves_the_trained_candidate_as_it_is(model: Path, tmp_path: Path) -> None:
    workflow = averaging(model, guards={"far": Guard(problems=Sums(20, FAR), verifier=Exact())})
    improve(workflow, tmp_path / "whole", InlineCluster)
    # Its 80 sampled traces and both evaluations come before: it stops in the averaged model's evaluation.
    Reads.left = 20 + 20 + 40 + 20 + 20 + 10
    with pytest.raises(InterruptedError):
        improve(workflow, tmp_path / "stopped", InlineCluster)
    assert (tmp_path / "stopped/generation-01/averaged/checkpoint").is_dir() and not (tmp_path / "stopped/generation-01/report.json").exists()
    with pytest.raises(UserError, match=r"another workflow: average: 0\.5 → 0\.25"):
        improve(replace(workflow, average=0.25), tmp_path / "stopped", InlineCluster)
    improve(workflow, tmp_path / "stopped", InlineCluster)
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole")
    assert reports(tmp_path / "stopped") == reports(tmp_path / "whole")
    # Without it everything else is the same, but for the candidate that the ledger counts.
    improve(replace(workflow, average=None), tmp_path / "plain", InlineCluster)
    whole, plain = (
        {name: content for name, content in files_of(tmp_path / place).items() if "SHA256SUMS" not in name} for place in ("whole", "plain")
    )
    assert {name for name in whole if "averaged" not in name} == plain.keys()
    assert all(whole[name] == content for name, content in plain.items() if "ledger" not in name)
    assert RunFolder(tmp_path / "plain").reports()[1].tried == {}


def test_the_trainer_is_not_asked_for_a_second_training(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    train = ToyTrainer.train
    monkeypatch.setattr(ToyTrainer, "train", lambda self, start, *rest: started.append(start.id) or train(self, start, *rest))
    improve(averaging(model), tmp_path / "run", InlineCluster)
    assert started == ["base"]
