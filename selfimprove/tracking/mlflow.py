"""A run mirrored to MLflow: one parent run for the campaign, one nested run per generation, curves over generations on the parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import NonNegativeInt
from pydantic.dataclasses import dataclass

from selfimprove.records import GenerationReport, Score, TrainingStep
from selfimprove.tracking.mlflow_address import store_address
from selfimprove.tracking.mlflow_page import label
from selfimprove.tracking.mlflow_runs import Campaign, now


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
    _campaign: ClassVar[Campaign | None] = None

    def start(self, name: str, settings: Mapping[str, Any], folder: Path) -> str | None:
        """Open or reopen the parent run; the link to it, or the command that serves it. None where the store does not answer."""
        campaign = Campaign(store_address(self.uri), self.experiment, label(name, folder.name), settings, folder, self.traces)
        object.__setattr__(self, "_campaign", campaign)
        campaign.outbox.put("the start", campaign.tell_settings)
        campaign.outbox.send()
        return campaign.link

    def training(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """A point on the generation's training curve for each step; sent every few seconds."""
        if campaign := self._campaign:
            came = now()
            campaign.began.setdefault(generation, campaign.since)
            campaign.untold_steps.setdefault(generation, []).extend((step, came) for step in steps)
            campaign.outbox.put(f"the training of generation {generation}", lambda: campaign.tell_training(generation))
            campaign.outbox.send(patiently=True)

    def record(self, report: GenerationReport, folder: Path) -> None:
        """The generation's figures on parent and child; its checkpoint as a version of the campaign's registered model, whose alias `champion`
        moves to what the gate keeps; datasets, traces, report and accepted traces."""
        if campaign := self._campaign:
            ended = now()
            campaign.began.setdefault(report.generation, campaign.since)
            campaign.since = ended
            campaign.reports[report.generation] = report
            campaign.outbox.put(f"the figures of generation {report.generation}", lambda: campaign.tell_figures(report))
            campaign.outbox.put(f"the files of generation {report.generation}", lambda: campaign.tell_files(report, folder, ended))
            campaign.outbox.put("the description", campaign.tell_story)
            campaign.outbox.send()

    def baseline(self, name: str, score: Score) -> None:
        """The baseline's pass@1 with its interval, on the parent."""
        if campaign := self._campaign:
            campaign.baselines[name] = score
            campaign.outbox.put(f"the baseline {name}", lambda: campaign.tell_baseline(name, score))
            campaign.outbox.put("the description", campaign.tell_story)
            campaign.outbox.send()

    def measured(self, name: str, figures: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path], folder: Path) -> None:
        """Figures `<name>/<key>` and the files, on the parent; its status stays as it is, and where this store has no parent nothing is told."""
        campaign = self._campaign or Campaign(store_address(self.uri), self.experiment, name, {}, folder)
        campaign.outbox.put(f"the measurement {name}", lambda: campaign.tell_measured(name, figures, files))
        campaign.outbox.send()

    def finish(self, status: str) -> None:
        """Give the parent, and every generation that did not complete, its final status."""
        if campaign := self._campaign:
            ended = now()
            campaign.outbox.put("the end", lambda: campaign.tell_end(status, ended))
            campaign.outbox.send()
