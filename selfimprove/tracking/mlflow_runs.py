"""A run as MLflow has it: a parent run, and a nested run for each generation."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from selfimprove.errors import without_password
from selfimprove.records import GenerationReport, Score, TrainingStep
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking import figures, mlflow_page
from selfimprove.tracking.mlflow_address import artifacts_beside, link_to, make_ready
from selfimprove.tracking.mlflow_generation import Generation, pretty
from selfimprove.tracking.mlflow_models import Models, facts
from selfimprove.tracking.mlflow_traces import Place
from selfimprove.tracking.retry_queue import RetryQueue

VIEW_TAG = f"mlflow.sharedViewState.{mlflow_page.VIEW}"
"""The experiment's tag in which MLflow keeps a saved view."""


@dataclasses.dataclass
class _Child:
    """The nested run of one generation."""

    run_id: str
    began: int
    """Milliseconds since 1970. All its figures carry this time: MLflow stores a point once where key, step, value and time are equal."""
    complete: bool = False
    last_step: int = 0
    """The last optimizer step that MLflow has."""


@dataclasses.dataclass
class ParentRun:
    """One parent run and its children. What fails halfway can be called again: it stores nothing twice."""

    uri: str
    experiment: str
    name: str
    """Of the parent and of its registered model; generations add their number."""
    settings: Mapping[str, Any]
    folder: Path
    traces: int = 0
    """How many sampled traces of each generation are told, at most."""
    retry_queue: RetryQueue = dataclasses.field(default_factory=lambda: RetryQueue("MLflow"))
    link: str | None = None
    pending_steps: dict[int, list[tuple[TrainingStep, int]]] = dataclasses.field(default_factory=dict)
    """By generation: each step with the time at which it came."""
    since: int = dataclasses.field(default_factory=lambda: now())
    """When the generation that is under way began."""
    began: dict[int, int] = dataclasses.field(default_factory=dict)
    """By generation, in milliseconds since 1970."""
    reports: dict[int, GenerationReport] = dataclasses.field(default_factory=dict)
    """By generation, as far as the parent has come."""
    baselines: dict[str, Score] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """MLflow reads its environment when it is imported, so it is made ready here."""
        make_ready()

    def log_settings(self) -> None:
        """All settings as one artifact, the short ones as params; and the view that the link opens, where the experiment has none yet."""
        self._tell_params(self.parent, self.settings, level="run")
        self.client.log_text(self.parent.info.run_id, pretty(self.settings), "workflow.json")
        known = self.client.get_experiment(self.parent.info.experiment_id).tags
        # Without the second, MLflow takes an experiment that has traces for one about applications, and opens other pages.
        for key, value in ((VIEW_TAG, mlflow_page.view()), ("mlflow.experimentKind", "custom_model_development")):
            if key not in known:
                self.client.set_experiment_tag(self.parent.info.experiment_id, key, value)

    def log_training(self, generation: int) -> None:
        """The steps that came since the last time; a training that is begun again repeats steps that are on the curve."""
        child, steps = self._child(generation), list(self.pending_steps[generation])
        # MLflow takes 1000 points at once: up to ten for each step.
        for first in range(0, len(steps), 100):
            points = [(figures.of_step(step), step.step, came) for step, came in steps[first : first + 100] if step.step > child.last_step]
            self._log(child.run_id, *points)
        child.last_step = max([child.last_step, *(step.step for step, _ in steps)])
        del self.pending_steps[generation][: len(steps)]

    def log_figures(self, report: GenerationReport) -> None:
        """The same figures on the child, as a dot, and on the parent, as one more point of the line over generations."""
        child = self._child(report.generation)
        if not child.complete:
            own = {"generation": report.generation, **figures.of_round(self.settings, report.generation)}
            self._tell_params(self.client.get_run(child.run_id), own, level="generation")
            for run_id in (child.run_id, self.parent.info.run_id):
                self._log(run_id, (figures.of_report(report), report.generation, child.began))

    def log_baseline(self, name: str, score: Score) -> None:
        """At the time when the parent began, so that telling it again changes nothing."""
        self._log(self.parent.info.run_id, (figures.of_baseline(name, score), 0, self.parent.info.start_time))

    def log_measured(self, name: str, measured: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path]) -> None:
        """At the time when the parent began, as a baseline; LookupError where this store does not have the parent."""
        if (run := self._known_run()) is None:
            raise LookupError(f"mlflow.json in {self.folder} names no run of this store")
        points = (({f"{name}/{key}": value for key, value in values.items()}, step, run.info.start_time) for values, step in measured)
        self._log(run.info.run_id, *points)
        for file in files:
            self.client.log_artifact(run.info.run_id, str(file), name)

    def log_files(self, report: GenerationReport, folder: Path, ended: int) -> None:
        """Datasets, the checkpoint as a model and as a version, files and traces; then the child is complete."""
        child, made = self._child(report.generation), report.candidate
        if child.complete:
            return
        from mlflow.entities import RunTag

        generation = Generation(self.client, child.run_id, self.parent.info.run_id, folder)
        tags = {"checkpoint": made.id, "kept": report.kept.id, "why": report.why, "mlflow.note.content": report.why, **facts(made)}
        self.client.log_batch(child.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        trained_on = generation.log_datasets()
        model_id = self.models.logged(made, child.run_id)
        self._log(child.run_id, (figures.of_score(report.score), report.generation, child.began), model_id=model_id)
        self.models.register(made, child.run_id, model_id, trained_on, report.why)
        # That of the last generation: an earlier one may be told later.
        self.models.crown(self.reports[max(self.reports)].kept)
        generation.log_files(report, figures.of_round(self.settings, report.generation))
        self._tell_traces(report, generation, child)
        self.client.set_terminated(child.run_id, "FINISHED", ended)
        child.complete = True

    def _tell_traces(self, report: GenerationReport, generation: Generation, child: _Child) -> None:
        from mlflow.tracing.client import TracingClient

        writer = None if self.settings.get("teacher") and report.generation == 1 else self.children.get(report.start.generation)
        model_id = self.models.made_by(writer.run_id) if writer else None
        place = Place(self.parent.info.experiment_id, child.run_id, model_id, report.generation, child.began)
        generation.log_traces(RunFolder(self.folder), place, self.traces, TracingClient(self.uri))

    def log_story(self) -> None:
        """The parent so far, in words and as a table, on the parent's page."""
        if reports := [self.reports[number] for number in sorted(self.reports)]:
            text = mlflow_page.description(reports, self.baselines, self.models.registered)
            self.client.set_tag(self.parent.info.run_id, "mlflow.note.content", text)

    def log_end(self, status: str, ended: int) -> None:
        """The final status of the parent and of every child that is not complete."""
        for child in self.children.values():
            if not child.complete:
                self.client.set_terminated(child.run_id, status, ended)
        self.client.set_terminated(self.parent.info.run_id, status, ended)

    def _tell_params(self, run: Any, settings: Mapping[str, Any], level: str) -> None:
        """Those that the run does not have yet: MLflow refuses to change one."""
        from mlflow.entities import Param, RunTag

        params = [Param(key, value) for key, value in figures.of_settings(settings).items() if key not in run.data.params]
        self.client.log_batch(run.info.run_id, params=params, tags=[RunTag("level", level)])

    def _log(self, run_id: str, *points: tuple[Mapping[str, float], int, int], model_id: str | None = None) -> None:
        """Several figures at a step and a time, in one call."""
        from mlflow.entities import Metric

        metrics = [Metric(key, value, when, step, model_id) for named, step, when in points for key, value in named.items()]
        self.client.log_batch(run_id, metrics=metrics)

    def _child(self, generation: int) -> _Child:
        if generation not in self.children:
            began = self.began[generation]
            tags = {"mlflow.parentRunId": self.parent.info.run_id, "generation": str(generation)}
            run = self.client.create_run(self.parent.info.experiment_id, began, tags, f"{self.name} generation {generation}")
            self.children[generation] = _Child(run.info.run_id, began)
        return self.children[generation]

    @cached_property
    def models(self) -> Models:
        """The run's checkpoints in MLflow."""
        parent = self.parent.info
        return Models(self.client, not self.uri.startswith("http"), parent.experiment_id, parent.run_id, self.name)

    @cached_property
    def client(self) -> Any:
        """A client of its own: the user's active run and tracking URI stay as they are."""
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    @cached_property
    def parent(self) -> Any:
        """The run's run: the one that `mlflow.json` names, or a new one."""
        run = self._known_run()
        if run is None:
            known = self.client.get_experiment_by_name(self.experiment)
            experiment_id = known.experiment_id if known else self.client.create_experiment(self.experiment, artifacts_beside(self.uri))
            run = self.client.create_run(experiment_id, tags={"folder": str(self.folder)}, run_name=self.name)
            self.folder.mkdir(parents=True, exist_ok=True)
            half = self.folder / "mlflow.half"
            half.write_text(pretty({"uri": without_password(self.uri), "experiment_id": run.info.experiment_id, "run_id": run.info.run_id}))
            half.replace(self.folder / "mlflow.json")
        self.client.update_run(run.info.run_id, "RUNNING")
        self.link = link_to(without_password(self.uri), run.info.experiment_id)
        return run

    @cached_property
    def children(self) -> dict[int, _Child]:
        """By generation; those that an earlier process left open are running again."""
        children = {}
        query = f"tags.`mlflow.parentRunId` = '{self.parent.info.run_id}'"
        for run in self.client.search_runs([self.parent.info.experiment_id], query):
            child = _Child(run.info.run_id, run.info.start_time, run.info.status == "FINISHED")
            if not child.complete:
                self.client.update_run(child.run_id, "RUNNING")
                child.last_step = max((point.step for point in self.client.get_metric_history(child.run_id, "train/loss")), default=0)
            children[int(run.data.tags["generation"])] = child
        return children

    def _known_run(self) -> Any:
        """The run that `mlflow.json` names; None where it is of another store, or not there any more."""
        from mlflow.exceptions import MlflowException

        file = self.folder / "mlflow.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        if kept.get("uri") != without_password(self.uri):
            return None
        try:
            run = self.client.get_run(kept["run_id"])
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)
