"""Guards: what a candidate forgets elsewhere keeps it from becoming the champion."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from apart import Apart
from command import run_command
from killable import files_of, reports
from toy import Sums, ToySampler, make_toy_model, toy_workflow

from selfimprove import AlwaysPromote, Exact, Guard, InlineCluster, LastNumber, Sampling, Workflow, ZeroShot, improve
from selfimprove.cluster.gpu_shares import divide
from selfimprove.errors import UserError
from selfimprove.problems.sets import load_sets
from selfimprove.records import Checkpoint, Problem, Request
from selfimprove.reports.cards import model_card
from selfimprove.reports.table import summarize
from selfimprove.settings.paths import describe, override
from selfimprove.storage.fork import fork
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored
from selfimprove.tracking.figures import of_report
from selfimprove.workflow.decontaminate import decontaminated
from selfimprove.workflow.roles import roles

FAR = 500
"""The first number of questions that the sampler forgets."""


@dataclass(frozen=True)
class Forgets(ToySampler):
    """Solves 7 of 10 sums above `FAR` before training, and less after each; fails at its n-th trace if asked to."""

    loss: float = 0.35
    left: ClassVar[int] = 0
    asked: ClassVar[Counter[str]] = Counter()
    checkpoints: ClassVar[list[str]] = []

    def _skill(self, checkpoint: Checkpoint, request: Request) -> float:
        far = int(re.findall(r"\d+", request.messages[-1]["content"])[0]) >= FAR
        return max(0.0, 0.7 - self.loss * checkpoint.generation) if far else super()._skill(checkpoint, request)

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        type(self).left -= 1
        if type(self).left == 0:
            raise InterruptedError
        self.asked[request.id] += 1
        if self.checkpoints[-1:] != [checkpoint.id]:
            self.checkpoints.append(checkpoint.id)
        return super()._trace(checkpoint, request)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_toy_model(tmp_path / "models" / "base", 0.5)


def guarded(model: Path, **changes: object) -> Workflow:
    guards = {
        "far": Guard(problems=Sums(60, FAR), verifier=Exact()),
        "near": Guard(problems=Sums(20, 300), verifier=LastNumber(), margin=0.2, prompter=ZeroShot(), sampling=Sampling(n=2, temperature=0.5)),
    }
    return toy_workflow(model, **{"sampler": Forgets(), "guards": guards, "answer_only_baseline": False, **changes})


def test_a_candidate_that_forgets_is_refused_whatever_the_gate_says(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(tmp_path / "run")
    Forgets.asked.clear()
    Forgets.checkpoints.clear()
    assert improve(guarded(model, gate=AlwaysPromote(), generations=1), run.root, InlineCluster).id == "base"
    base, first = run.reports()
    assert base.guards["far"].loss is None and (found := first.guards["far"].loss) is not None and found.refuses
    assert found.loss == pytest.approx(base.guards["far"].score.pass_at_1 - first.guards["far"].score.pass_at_1)
    assert first.why.startswith("every candidate is promoted; refused: guard far lost 0.") and "of margin 0.05, p = " in first.why
    assert (near := first.guards["near"].loss) is not None and not near.refuses and near.test == "paired bootstrap" and "near" not in first.why
    # Each model is asked everything in one session, and every question once: the few-shot baseline is the base model's.
    assert [one for one in Forgets.checkpoints if one != "base"] == ["generation-1"] and set(Forgets.asked.values()) == {1}
    assert Counter(name.split("/")[1] for name in Forgets.asked if "guard" in name) == {
        f"{model_}-guard-{name}-exam": number for model_ in ("base", "generation-1") for name, number in (("far", 60), ("near", 40))
    }
    assert {item.verdict.verifier for item in stored(run.generation(1) / "guards" / "near")} == {"last number"}

    out = run_command(capfd, 0, "report", run.root)[0]
    assert "pass@1 by guards" in out and "guard near" in out and "refused: guard far lost" in " ".join(out.split())
    summary = json.loads(run_command(capfd, 0, "report", run.root, "--json")[0])
    assert summary["generations"][1]["guards"]["far"]["loss"]["refuses"] is True
    told = run_command(capfd, 0, "traces", run.root, "--from", "guard-far", "--generation", "1", "--outcome", "wrong", "--json")[0]
    assert {trace["question"].split()[2][0] for trace in json.loads(told)["traces"]} == {"5"}
    assert "guard-far" in run_command(capfd, 2, "traces", run.root, "--from", "guard-fra")[1]
    # The verifiers of guards are their own: no other one audits their verdicts. Their files are hashed like all others.
    assert not [stage for stage in json.loads(run_command(capfd, 0, "audit", run.root, "--with", "exact", "--json")[0])["stages"] if "guard" in stage]
    run_command(capfd, 0, "verify", run.root)
    figures = of_report(first)
    assert figures["guards/far_loss"] == found.loss and figures["guards/far_low"] < figures["guards/far"] < figures["guards/far_high"]


def test_a_candidate_that_keeps_what_it_knew_is_promoted_and_its_card_says_so(model: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert improve(guarded(model, sampler=Forgets(loss=0.0), generations=1), run.root, InlineCluster).id == "generation-1"
    card = model_card(summarize(run), run.settings(), ["toy"], None, "mit")
    assert "Guards against forgetting" in card and re.search(r"guard far (lost|gained) 0\.\d+ .*; base model 0\.\d+, this model 0\.\d+", card)


@pytest.mark.parametrize("traces", [60, 150])
def test_a_run_that_broke_in_a_guard_ends_as_an_undisturbed_one(model: Path, tmp_path: Path, traces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfimprove.storage.shards.SHARD", 16)
    workflow = guarded(model, generations=1, guards={"far": Guard(problems=Sums(60, FAR), verifier=Exact())}, first_prompter=None)
    Forgets.left = 0
    improve(workflow, tmp_path / "whole", InlineCluster)
    Forgets.left = traces
    with pytest.raises(InterruptedError):
        improve(workflow, tmp_path / "broken", InlineCluster)
    assert Forgets.left == 0
    improve(workflow, tmp_path / "broken", InlineCluster)
    assert files_of(tmp_path / "broken") == files_of(tmp_path / "whole")
    assert reports(tmp_path / "broken") == reports(tmp_path / "whole")


def test_with_overlap_guards_decide_alike(model: Path, tmp_path: Path) -> None:
    workflow = guarded(model, sampler=Forgets(loss=0.02), overlap=1, guards={"far": Guard(problems=Sums(60, FAR), verifier=Exact())})
    for name, cluster in (("beside", Apart), ("in-turn", InlineCluster)):
        improve(workflow, tmp_path / name, cluster)
    assert reports(tmp_path / "beside") == reports(tmp_path / "in-turn")


def test_a_run_keeps_its_guards_and_a_fork_may_change_their_margins(model: Path, tmp_path: Path) -> None:
    workflow, run = guarded(model, generations=1), RunFolder(tmp_path / "run")
    improve(workflow, run.root, InlineCluster)
    for changed, named in (
        ({}, "guards.far: "),
        ({**workflow.guards, "far": replace(workflow.guards["far"], margin=0.4)}, "guards.far.margin: 0.05 → 0.4"),
    ):
        with pytest.raises(UserError, match=f"holds a run of another workflow: {named}"):
            improve(replace(workflow, guards=changed), run.root, InlineCluster)
    with pytest.raises(UserError, match=r"a fork shares generations that depend on guards\.far\.problems\.size: 60 → 61"):
        fork(run, RunFolder(tmp_path / "other"), 1, describe(override(workflow, "guards.far.problems.size=61")))
    lenient = override(workflow, "guards.far.margin=0.9")
    fork(run, RunFolder(tmp_path / "lenient"), 1, describe(lenient))
    Forgets.asked.clear()
    assert improve(lenient, tmp_path / "lenient", InlineCluster).id == "generation-1"
    assert not [name for name in Forgets.asked if "/base-guard" in name], "the base model is not asked again"


@dataclass(frozen=True)
class Given:
    problems: tuple[Problem, ...]

    def load(self) -> list[Problem]:
        return list(self.problems)


def test_a_guards_problems_are_not_trained_on(model: Path) -> None:
    """Neither if several guards ask them, nor if their ids are those of the evaluation."""
    asked = "A farmer has seventeen sheep and buys another five on the market; how many sheep does the farmer have after that day?"
    leaking = Problem("leak", f"Please answer carefully. {asked} Think first.", "22", "s")
    guard = Guard(problems=Given((Problem("sum-200", asked, "22", "s"),)), verifier=Exact())
    problems, evaluation = Given((*Sums(12).load(), leaking)), Sums(5, 200)
    workflow = toy_workflow(model, problems=problems, eval_problems=evaluation, guards={name: guard for name in ("a", "b", "c")})
    sets = load_sets(**workflow.sets)
    # Another difficulty of the same task has the same ids.
    same_ids = Given(tuple(replace(problem, question=f"{problem.question} Double it.") for problem in Sums(12).load()))
    assert load_sets(**replace(workflow, guards={"a": replace(guard, problems=same_ids)}).sets).guards["a"][0].id == "sum-0"
    assert [problem.id for problem in sets.untrained] == [*(problem.id for problem in evaluation.load()), "guard-a/sum-200"]
    clean, _ = decontaminated(workflow, sets)
    assert "leak" not in {problem.id for problem in clean.training} and len(clean.training) == 12


def test_a_guard_shares_no_problem_with_training_and_with_the_test(model: Path) -> None:
    for changes, named in (
        ({"guards": {"g": Guard(problems=Sums(5), verifier=Exact())}}, r"problem sum-\d of problems asks the same as sum-\d of guards\.g\.problems"),
        ({"test_problems": Sums(5, FAR)}, r"problem sum-500 of guards\.far\.problems asks the same as sum-500 of test_problems"),
    ):
        with pytest.raises(UserError, match=named):
            load_sets(**guarded(model, **changes).sets)


def test_a_guard_reserves_no_gpu_and_its_name_names_a_folder(model: Path) -> None:
    workflow = guarded(model)
    assert {role for role in roles(workflow) if role.startswith("guard")} == {"guard-far", "guard-near"}
    assert divide(roles(workflow), [2.0]).largest()["guard-far"] == []
    with pytest.raises(ValueError, match=r"guards.a/b.\[key\]"):
        guarded(model, guards={"a/b": workflow.guards["far"]})
