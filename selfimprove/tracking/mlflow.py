"""A run mirrored to MLflow: one parent run for the parent, one nested run per generation, curves over generations on the parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import NonNegativeInt
from pydantic.dataclasses import dataclass

from selfimprove.records import GenerationReport, Score, TrainingStep
from selfimprove.tracking.mlflow_address import store_address
from selfimprove.tracking.mlflow_page import label
from selfimprove.tracking.mlflow_runs import ParentRun, now


@dataclass(frozen=True, config={"extra": "forbid"})
class MLflow:
    """Tells an MLflow store or server. A failure is logged once and never raised; what could not be told is told at a later call.

    `mlflow.json` in the run's folder keeps the ids, so that a continued run goes on under the same ones; what is told twice is
    stored once.
    """

    uri: str | None = None
    """Where the store is; None for `MLFLOW_TRACKING_URI`, or else the SQLite file `runs/mlflow.db` of the current folder."""
    experiment: str = "selfimprove"
    """The experiment of the store that its runs are in."""
    traces: NonNegativeInt = 50
    """How many sampled traces of each generation are shown, drawn by lot; the run folder has them all."""
    _parent: ClassVar[ParentRun | None] = None

    def start(self, name: str, settings: Mapping[str, Any], folder: Path) -> str | None:
        """Open or reopen the parent run; the link to it, or the command that serves it. None where the store does not answer."""
        parent = ParentRun(store_address(self.uri), self.experiment, label(name, folder.name), settings, folder, self.traces)
        object.__setattr__(self, "_parent", parent)
        parent.retry_queue.put("the start", parent.log_settings)
        parent.retry_queue.send()
        return parent.link

    def training(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """A point on the generation's training curve for each step; sent every few seconds."""
        if parent := self._parent:
            came = now()
            parent.began.setdefault(generation, parent.since)
            parent.pending_steps.setdefault(generation, []).extend((step, came) for step in steps)
            parent.retry_queue.put(f"the training of generation {generation}", lambda: parent.log_training(generation))
            parent.retry_queue.send(patiently=True)

    def record(self, report: GenerationReport, folder: Path) -> None:
        """The generation's figures on parent and child; its checkpoint as a version of the run's registered model, whose alias `champion`
        moves to what the gate keeps; datasets, traces, report and accepted traces."""
        if parent := self._parent:
            ended = now()
            parent.began.setdefault(report.generation, parent.since)
            parent.since = ended
            parent.reports[report.generation] = report
            parent.retry_queue.put(f"the figures of generation {report.generation}", lambda: parent.log_figures(report))
            parent.retry_queue.put(f"the files of generation {report.generation}", lambda: parent.log_files(report, folder, ended))
            parent.retry_queue.put("the description", parent.log_story)
            parent.retry_queue.send()

    def baseline(self, name: str, score: Score) -> None:
        """The baseline's pass@1 with its interval, on the parent."""
        if parent := self._parent:
            parent.baselines[name] = score
            parent.retry_queue.put(f"the baseline {name}", lambda: parent.log_baseline(name, score))
            parent.retry_queue.put("the description", parent.log_story)
            parent.retry_queue.send()

    def measured(self, name: str, figures: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path], folder: Path) -> None:
        """Figures `<name>/<key>` and the files, on the parent; its status stays as it is, and where this store has no parent nothing is told."""
        parent = self._parent or ParentRun(store_address(self.uri), self.experiment, name, {}, folder)
        parent.retry_queue.put(f"the measurement {name}", lambda: parent.log_measured(name, figures, files))
        parent.retry_queue.send()

    def finish(self, status: str) -> None:
        """Give the parent, and every generation that did not complete, its final status."""
        if parent := self._parent:
            ended = now()
            parent.retry_queue.put("the end", lambda: parent.log_end(status, ended))
            parent.retry_queue.send()
