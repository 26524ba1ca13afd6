"""Drift in a run: measured once for each generation, kept, shown, and left out where it cannot be measured."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from drifting import Measuring, Nudger, nudged
from killable import files_of, reports
from rich.console import Console
from toy import ToySampler, make_toy_model, toy_workflow

from selfimprove import AlwaysPromote, DriftText, InlineCluster, Workflow, improve
from selfimprove.errors import UserError
from selfimprove.reports.cards import model_card
from selfimprove.reports.table import show, summarize
from selfimprove.settings.paths import describe
from selfimprove.storage.fork import fork
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import NoProgress
from selfimprove.tracking.figures import of_report, over_generations


class Breaks(Exception):
    """What stops a run in these tests."""


class BreakingSampler(ToySampler):
    """Fails while it answers the evaluation of the first candidate."""

    broken = False

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        if checkpoint.id == "generation-1" and type(self).broken:
            raise Breaks
        return super()._trace(checkpoint, request)


class Lines(NoProgress):
    """Keeps the lines that are said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def base(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that the toy sampler reads a skill from."""
    return nudged(tiny_model, tmp_path_factory.mktemp("base") / "model", skill=0.2)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> DriftText:
    """A short text, as a file."""
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("4 + 3 = 7. Wait, reason step by step, then answer.\n" * 3)
    return DriftText(str(file))


def workflow_of(base: Path, text: DriftText | None, notes: Path, **changes: object) -> Workflow:
    changes = {"trainer": Measuring(notes=str(notes)), "sampler": BreakingSampler(), **changes}
    return toy_workflow(base, drift=text, answer_only_baseline=False, first_prompter=None, gate=AlwaysPromote(), **changes)


@pytest.fixture(scope="module")
def whole(base: Path, text: DriftText, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    improve(workflow_of(base, text, folder / "notes"), folder / "run", InlineCluster)
    return RunFolder(folder / "run")


def test_base_and_candidates_are_measured_and_shown(whole: RunFolder) -> None:
    first, *others = [report.drift for report in whole.reports()]
    assert first and first.kl == 0 and first.nll > 0 and first.tokens > 50
    assert len(others) == 2 and all(one and one.kl > 0 and one.tokens == first.tokens and one.text_hash == first.text_hash for one in others)
    summary = summarize(whole)
    assert [row["drift"]["nll"] for row in summary["generations"]] == [first.nll, *(one.nll for one in others if one)]
    printed = io.StringIO()
    show(summary, Console(file=printed, width=80))
    assert f"drift on a fixed text of {first.tokens} tokens" in printed.getvalue()
    assert f"{first.nll:.3f}         0.000" in printed.getvalue() and max(map(len, printed.getvalue().split("\n"))) <= 80


def test_trackers_have_a_point_of_each_generation_and_the_card_a_line(whole: RunFolder) -> None:
    by_number = {report.generation: report for report in whole.reports()}
    assert of_report(by_number[2])["drift/nll"] == by_number[2].drift.nll  # type: ignore[union-attr]
    points = over_generations({number: by_number[number] for number in (0, 1)}, 1)
    assert points[0]["drift/kl_from_base"] == 0 and points[1]["drift/kl_from_base"] > 0, "the base model's 0 is drawn too"
    card = model_card(summarize(whole), whole.settings(), ["toy"], None, None)
    assert f"(base model: {by_number[0].drift.nll:.3f})" in card  # type: ignore[union-attr]


def test_a_run_that_broke_after_a_measurement_does_not_repeat_it_and_ends_as_an_undisturbed_one(
    base: Path, text: DriftText, whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = workflow_of(base, text, notes := tmp_path / "notes")
    monkeypatch.setattr(BreakingSampler, "broken", True)
    with pytest.raises(Breaks):
        improve(workflow, tmp_path / "run", InlineCluster)
    assert notes.read_text().split() == ["base", "generation-1"] and len(RunFolder(tmp_path / "run").reports()) == 1
    monkeypatch.setattr(BreakingSampler, "broken", False)
    improve(workflow, tmp_path / "run", InlineCluster)
    assert notes.read_text().split() == ["base", "generation-1", "generation-2"]
    # The training's manifest names the file of the notes.
    ours, theirs = (
        {name: data for name, data in files_of(root).items() if "manifest" not in name and "SUMS" not in name}
        for root in (tmp_path / "run", whole.root)
    )
    assert ours == theirs and "generation-01/drift.json" in ours
    assert reports(tmp_path / "run") == reports(whole.root)


def test_a_fork_keeps_what_was_measured_and_refuses_another_text(base: Path, text: DriftText, whole: RunFolder, tmp_path: Path) -> None:
    source, notes = tmp_path / "source", tmp_path / "notes"
    shutil.copytree(whole.root, source)
    workflow = workflow_of(base, text, notes)
    fork(RunFolder(source), RunFolder(tmp_path / "fork"), 2, describe(workflow))
    improve(workflow, tmp_path / "fork", InlineCluster)
    assert notes.read_text().split() == ["generation-2"]
    assert [report.drift for report in RunFolder(tmp_path / "fork").reports()] == [report.drift for report in whole.reports()]
    with pytest.raises(
        UserError, match="the drift text is the one that comes with the package, but generation 0 was measured on another; put that back"
    ):
        improve(replace(workflow, drift=DriftText(), generations=3), tmp_path / "fork", InlineCluster)
    improve(replace(workflow, drift=None, generations=3), tmp_path / "fork", InlineCluster)
    assert [bool(report.drift) for report in RunFolder(tmp_path / "fork").reports()] == [True, True, True, False]


def test_a_part_takes_the_place_of_a_trainer_that_does_not_measure(base: Path, text: DriftText, whole: RunFolder, tmp_path: Path) -> None:
    improve(workflow_of(base, text, tmp_path, trainer=Nudger(), generations=1), tmp_path / "run", InlineCluster)
    ours, theirs = ([report.drift for report in root.reports()[:2]] for root in (RunFolder(tmp_path / "run"), whole))
    assert ours == theirs


def test_a_model_that_transformers_does_not_know_is_not_measured_and_one_line_says_so(text: DriftText, tmp_path: Path) -> None:
    said, model = Lines(), make_toy_model(tmp_path / "model", 0.2)
    improve(toy_workflow(model, drift=text), tmp_path / "run", InlineCluster, progress=said)
    told = [line for line in said.lines if "drift" in line]
    assert told == [f"the drift of base is not measured: {model} holds no transformers model: its config.json names no model_type"]
    assert not list((tmp_path / "run").rglob("drift*"))
    assert all(report.drift is None and "drift" not in report.seconds for report in RunFolder(tmp_path / "run").reports())
    assert (
        "drift"
        not in model_card(summarize(RunFolder(tmp_path / "run")), RunFolder(tmp_path / "run").settings(), ["toy"], None, None).split("## Settings")[0]
    )


def test_a_candidate_that_diverged_is_not_measured_and_the_run_goes_on(base: Path, text: DriftText, tmp_path: Path) -> None:
    said = Lines()
    trainer = Measuring(notes=str(tmp_path / "notes"), by=float("inf"))
    improve(workflow_of(base, text, tmp_path, trainer=trainer, generations=1), tmp_path / "run", InlineCluster, progress=said)
    assert "the drift of generation-1 is not measured: its predictions are not probabilities: the training diverged" in said.lines
    assert [bool(report.drift) for report in RunFolder(tmp_path / "run").reports()] == [True, False]


def test_a_text_that_is_not_there_ends_the_run_before_anything_is_computed(base: Path, tmp_path: Path) -> None:
    def no_cluster() -> InlineCluster:
        raise AssertionError("compute was asked for")

    with pytest.raises(UserError, match=r"the drift text .*absent\.txt cannot be read: No such file or directory"):
        improve(workflow_of(base, DriftText(str(tmp_path / "absent.txt")), tmp_path), tmp_path / "run", no_cluster)
