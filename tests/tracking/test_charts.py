"""Runs in trackers of curves: TensorBoard, which is read back, and those of the others that are installed."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import sqlite3
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from toy import make_toy_model, toy_workflow

from selfimprove import InlineCluster, TensorBoard, Trackio, UserError, WandB, improve
from selfimprove.protocols import Tracker
from selfimprove.protocols.no_tracker import NoTracker
from selfimprove.records import Score
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import NoProgress
from selfimprove.tracking.charts import Charts, OpenCharts, require_package
from selfimprove.tracking.figures import TRAINING


def curves(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Points by curve, by folder of event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = {}
    for place in sorted({file.parent for file in folder.rglob("events*")}):
        events = EventAccumulator(str(place), size_guidance={"scalars": 0}).Reload()
        tags = events.Tags()["scalars"]
        read[str(place.relative_to(folder))] = {tag: [(point.step, round(point.value, 3)) for point in events.Scalars(tag)] for tag in tags}
    return read


class Deaf(NoTracker):
    """A tracker that is always away."""

    def log_generation(self, *_: Any) -> None:
        raise ConnectionError("http://me:hunter22@away does not answer")

    log_training = log_generation
    log_baseline = log_generation
    finish = log_generation

    def start(self) -> str | None:
        raise ConnectionError("http://me:hunter22@away does not answer")


def test_a_run_and_its_continuation_are_one_line_in_tensorboard_whatever_another_tracker_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.3), generations=1)
    said: list[str] = []
    board = TensorBoard()
    assert isinstance(board, Tracker) and pickle.loads(pickle.dumps(board)) == board
    progress = NoProgress()
    monkeypatch.setattr(progress, "say", said.append)
    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            improve(workflow, tmp_path / "run", InlineCluster, [Deaf(), board], progress)
    assert f"tensorboard --logdir {tmp_path}/tensorboard  →  http://127.0.0.1:6006" in said
    assert "the run is not logged to Deaf: ConnectionError: http://away does not answer" in said
    assert caplog.text.count("Deaf failed, and the run goes on") >= 1 and "hunter22" not in caplog.text + "".join(said)

    run, known = RunFolder(tmp_path / "run"), json.loads((tmp_path / "run" / "tensorboard.json").read_text())
    base, first = run.reports()
    lines = curves(tmp_path / "tensorboard")
    name = f"toy_run-{known['id']}"
    assert set(lines) == {name, f"{name}/generation-01"}
    assert lines[name]["1_evaluation/pass_at_1"] == [(0, round(base.score.pass_at_1, 3)), (1, round(first.score.pass_at_1, 3))]
    assert {"baseline/few_shot", "baseline/answer_only"} < set(lines[name])
    # On a machine that has not got the files, figures are written again.
    shutil.rmtree(tmp_path / "tensorboard")
    improve(workflow, tmp_path / "run", InlineCluster, board)
    assert curves(tmp_path / "tensorboard")[name].keys() == lines[name].keys()
    loss = lines[f"{name}/generation-01"][f"{TRAINING}/loss"]
    assert loss == [(step, round(1 / step, 3)) for step in range(1, first.counts.trained_on + 1)]  # type: ignore[union-attr]


class Kept:
    """Keeps the points that it is given, unless it is told to refuse them."""

    link = "http://me:hunter22@charts"
    empty = False

    def __init__(self) -> None:
        self.points: list[tuple[int | None, int, float]] = []
        self.refuse = False

    def write(self, values: Mapping[str, float], step: int, generation: int | None = None) -> None:
        if self.refuse:
            raise OSError("full")
        self.points += [(generation, step, value) for value in values.values()]

    def save(self, name: str, files: Any) -> None: ...

    def close(self, status: str) -> None: ...


def test_what_was_refused_is_logged_by_the_next_run_and_a_changed_figure_too(tmp_path: Path) -> None:
    kept = Kept()

    def opened(place: str = "here") -> OpenCharts:
        return OpenCharts("kept", place, tmp_path, lambda number: _charts(kept))

    def score(value: float) -> Score:
        return Score("m", 10, value, (0.0, 1.0), {1: value}, {1: value}, {}, 5)

    one = opened()
    one.log_baseline("few_shot", score(0.5))
    assert kept.points == [] and one.start() == "http://charts"
    kept.refuse = True
    with pytest.raises(OSError):
        one.log_baseline("few_shot", score(0.5))
    kept.refuse = False
    one.finish("KILLED")
    for value in (0.5, 0.5, 0.7):
        again = opened()
        again.start()
        again.log_baseline("few_shot", score(value))
        again.finish("FINISHED")
    assert [point for _, _, point in kept.points] == [0.5, 0.0, 1.0, 0.7, 0.0, 1.0]
    # A study opens a run that is there, and only that.
    opened().log_figures("study", [({"share": 0.25}, 3)], ())
    assert kept.points[-1] == (None, 3, 0.25)
    before = json.loads((tmp_path / "kept.json").read_text())["id"]
    opened("elsewhere").start()
    assert json.loads((tmp_path / "kept.json").read_text())["id"] != before


def _charts(kept: Kept) -> Charts:
    return kept


def test_a_tracker_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A folder is no package: runs leave one that is named `wandb`.
    (tmp_path / "not_installed").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert find_spec("not_installed")
    with pytest.raises(UserError, match="the tracker not_installed is not installed"):
        require_package("not_installed")
    monkeypatch.setattr("selfimprove.tracking.charts.find_spec", lambda name: None)
    for part, extra in ((TensorBoard, "tensorboard"), (WandB, "wandb"), (Trackio, "trackio")):
        with pytest.raises(UserError, match=rf'not installed; run: pip install "selfimprove\[{extra}\]"'):
            part()


@pytest.mark.skipif(find_spec("trackio") is None, reason="trackio is not installed")
def test_a_run_in_trackio_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackio.utils.TRACKIO_DIR", tmp_path / "trackio")
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path / "trackio")
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.3), generations=1)
    for _ in range(2):
        improve(workflow, tmp_path / "run", InlineCluster, Trackio())
    rows = sqlite3.connect(tmp_path / "trackio" / "selfimprove.db").execute("select run_name, step, metrics from metrics").fetchall()
    points = [(step, json.loads(figures)) for _, step, figures in rows]
    passed = [(step, figures["1_evaluation/pass_at_1"]) for step, figures in points if "1_evaluation/pass_at_1" in figures]
    assert passed == [(number, report.score.pass_at_1) for number, report in enumerate(RunFolder(tmp_path / "run").reports())]
    assert len({name for name, _, _ in rows}) == 1


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed")
def test_a_run_in_wandb_is_continued_under_its_id(tmp_path: Path) -> None:
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.3), generations=1)
    for _ in range(2):
        improve(workflow, tmp_path / "run", InlineCluster, WandB(mode="offline"))
    number = json.loads((tmp_path / "run" / "wandb.json").read_text())["id"]
    assert len(list((tmp_path / "wandb").glob(f"offline-run-*-{number}"))) >= 1
