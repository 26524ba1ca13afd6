"""Further prompts: base model and champion answer the evaluation problems when they are asked in other words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from command import run_command
from toy import EXEMPLAR, ToySampler, make_toy_model, toy_workflow

from selfimprove import FewShot, InlineCluster, LastNumber, Workflow, ZeroShot, improve
from selfimprove.records import Checkpoint, Request, Trace
from selfimprove.reports.cards import model_card
from selfimprove.reports.table import summarize
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking.figures import of_prompts


@dataclass(frozen=True)
class Formed(ToySampler):
    """Solves everything after training, and before it with exemplars: what training adds is the form."""

    def _skill(self, checkpoint: Checkpoint, request: Request) -> float:
        return 1.0 if checkpoint.generation or len(request.messages) > 2 else 0.2


def asked_further(model: Path, **changes: object) -> Workflow:
    given = {"sampler": Formed(), "also": (LastNumber(),), "also_prompters": (FewShot((EXEMPLAR,)), ZeroShot("Think.")), **changes}
    return toy_workflow(model, generations=1, answer_only_baseline=False, **given)


def test_a_gain_that_a_further_prompt_does_not_show_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, run = make_toy_model(tmp_path / "models" / "base", 0.2), RunFolder(tmp_path / "run")
    kept = improve(asked_further(model), run.root, InlineCluster)
    few, zero = run.prompt_scores()
    assert (few.prompter, zero.prompter) == ("FewShot", "ZeroShot") and few.base.pass_at_1 == few.champion.pass_at_1 == 1.0 > zero.base.pass_at_1
    assert zero.champion.checkpoint_id == kept.id == "generation-1"
    out = " ".join(run_command(capfd, 0, "report", run.root)[0].split())
    assert "asked by FewShot 1.000 → 1.000; asked by ZeroShot" in out
    assert "asked by FewShot: champion against base +0.000 (+0.00 to +0.00), p = 1" in out
    summary = summarize(run)
    assert summary["further_prompts"]["FewShot"]["base"]["also"]["last number"]["pass_at_1"] == 1.0
    assert summary["generations"][0]["pass_at_1"] < 1.0 == summary["generations"][1]["pass_at_1"]
    assert "asked by FewShot: champion against base" in model_card(summary, run.settings(), ["toy"], None, "mit")
    assert of_prompts(run.prompt_scores())["FewShot_champion"] == 1.0
    run_command(capfd, 0, "verify", run.root)


def test_a_run_that_goes_on_with_other_prompters_asks_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, run = make_toy_model(tmp_path / "models" / "base", 0.2), RunFolder(tmp_path / "run")
    improve(asked_further(model, also_prompters=FewShot((EXEMPLAR,))), run.root, InlineCluster)
    asked = set()

    def noting(self: Formed, checkpoint: Checkpoint, request: Request) -> Trace:
        asked.add(request.id.split("/")[1].rpartition("-")[0].rpartition("-")[0])
        return ToySampler._trace(self, checkpoint, request)

    monkeypatch.setattr(Formed, "_trace", noting)
    workflow = asked_further(model, also_prompters=(ZeroShot(), FewShot((EXEMPLAR,)), ZeroShot("Think.")))
    improve(workflow, run.root, InlineCluster)
    assert asked == {"base-zeroshot", "generation-1-zeroshot"}
    assert [one.prompter for one in run.prompt_scores()] == ["ZeroShot", "FewShot", "ZeroShot 2"]
    improve(replace(workflow, also_prompters=()), run.root, InlineCluster)
    assert run.settings()["also_prompters"] == []
