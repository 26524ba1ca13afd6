"""A run mirrored to MLflow: a parent run with curves over generations, and a nested run for each generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.records import GenerationReport, Score, TrainingStep
from selfimprove.records.numbers import NonNegativeInt
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.safe_text import plain_line
from selfimprove.tracking.mlflow_address import make_ready, store_address
from selfimprove.tracking.mlflow_group import client_of, log_group
from selfimprove.tracking.mlflow_page import label
from selfimprove.tracking.mlflow_runs import ParentRun, now
from selfimprove.tracking.retry_queue import RetryQueue


@dataclass(frozen=True, config={"extra": "forbid"})
class MLflow:
    """Logs runs to an MLflow store or server.

    A failure is logged once and never raised; what could not be sent is sent at a later call. `mlflow.json` in the run folder keeps the ids of the
    runs, so that a continued run goes on under the same ids. Logging something twice stores it once.
    """

    uri: str | None = None
    """Address of the store. None means `MLFLOW_TRACKING_URI`, or the SQLite file `runs/mlflow.db` in the current folder if that is not set."""
    experiment: str = "selfimprove"
    """MLflow experiment that holds the runs."""
    traces: NonNegativeInt = 50
    """Number of sampled traces to show for each generation, drawn at random; the run folder has all of them."""
    group: str | None = None
    """Name of a run that this one is nested in, such as one for several seeds; it is made if the experiment has none of this name."""

    def open(self, name: str, settings: Mapping[str, Any], folder: Path) -> OpenMLflow:
        """Return the tracker of the run in `folder`. Nothing is sent yet."""
        shown = plain_line(label(name, folder.name))
        return OpenMLflow(ParentRun(store_address(self.uri), self.experiment, shown, settings, folder, self.traces, self.group))

    def log_seeds(self, runs: Sequence[RunFolder], found: Mapping[str, Any] | None, status: str = "FINISHED") -> None:
        """Give the run that these runs are nested in their means, as `reports.seeds.summarize_seeds` finds them, and its final status."""
        if self.group is None:
            return
        make_ready()
        group, uri = self.group, store_address(self.uri)
        queue = RetryQueue("MLflow", uri)
        queue.put("the means over seeds", lambda: log_group(client_of(uri), uri, group, found, runs, status, now()))
        queue.send()


class OpenMLflow:
    """Sends one run to MLflow, with a queue for what the store could not take yet."""

    def __init__(self, run: ParentRun) -> None:
        self._run = run
        self._queue = RetryQueue("MLflow", run.uri)

    def start(self) -> str | None:
        """Create the parent run, or continue the one that `mlflow.json` names.

        Returns the address of the charts, after the command that serves them if there is no server; None if the store does not answer.
        """
        self._queue.put("the settings", self._run.log_settings)
        self._queue.send()
        return self._run.link

    def log_training(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """Add a point to the generation's training curve for each step; sent every few seconds."""
        self._run.add_steps(generation, steps)
        self._queue.put(f"the training of generation {generation}", lambda: self._run.log_training(generation))
        self._queue.send(patiently=True)

    def log_generation(self, report: GenerationReport, folder: Path) -> None:
        """Log the generation's figures on parent and child, its datasets, traces, report and accepted traces.

        Its checkpoint becomes a version of the run's registered model, whose alias `champion` moves to the checkpoint that the gate keeps.
        """
        ended = now()
        self._run.add_report(report, ended)
        self._queue.put(f"the figures of generation {report.generation}", lambda: self._run.log_report(report))
        self._queue.put(f"the files of generation {report.generation}", lambda: self._run.log_files(report, folder, ended))
        self._queue.put("the description", self._run.log_description)
        self._queue.send()

    def log_baseline(self, name: str, score: Score) -> None:
        """Log the baseline's pass@1 and its interval on the parent."""
        self._run.baselines[name] = score
        self._queue.put(f"the baseline {name}", lambda: self._run.log_baseline(name, score))
        self._queue.put("the description", self._run.log_description)
        self._queue.send()

    def log_figures(self, name: str, figures: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path]) -> None:
        """Log figures `<name>/<key>` and the files on the parent, whose status stays as it is; nothing is logged if this store does not have it."""
        self._queue.put(f"the figures of {name}", lambda: self._run.log_figures(name, figures, files))
        self._queue.put("the description", self._run.log_description_again)
        self._queue.send()

    def finish(self, status: str) -> None:
        """Give the parent, and every generation that is not complete, its final status."""
        ended = now()
        self._queue.put("the end", lambda: self._run.log_end(status, ended))
        self._queue.send()
