"""A run in MLflow: a parent run, and a nested run for each generation."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.removed import removed
from selfimprove.errors.redaction import redact
from selfimprove.records import FurtherScore, GenerationReport, Score, TrainingStep
from selfimprove.reports.markdown import words
from selfimprove.storage.averaged import candidate_folder
from selfimprove.storage.further import further_scores
from selfimprove.storage.retention import retained
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.safe_text import plain_line, plain_text
from selfimprove.tracking import figures, mlflow_page
from selfimprove.tracking.mlflow_address import artifacts_beside, link_to, make_ready
from selfimprove.tracking.mlflow_generation import Child, Generation, pretty
from selfimprove.tracking.mlflow_group import PARENT, client_of, group_run, known_run
from selfimprove.tracking.mlflow_models import Models, facts
from selfimprove.tracking.mlflow_traces import Place

VIEW_TAG = f"mlflow.sharedViewState.{mlflow_page.VIEW}"
"""Tag of the experiment in which MLflow keeps a saved view."""


@dataclasses.dataclass
class ParentRun:
    """One parent run and its children. A `log_…` method that failed halfway can be called again: nothing is stored twice."""

    uri: str
    experiment: str
    name: str
    """Name of the parent and of its registered model; generations add their number."""
    settings: Mapping[str, Any]
    folder: Path
    traces: int = 0
    """Maximum number of sampled traces to log for each generation."""
    group: str | None = None
    """Run of this name that the parent is nested in."""
    link: str | None = None
    """Where people can look at the run, once the store has answered."""
    pending_steps: dict[int, list[tuple[TrainingStep, int]]] = dataclasses.field(default_factory=dict)
    """Steps not sent yet, by generation, each with the time at which it came."""
    since: int = dataclasses.field(default_factory=lambda: now())
    """When the generation under way began, in milliseconds since 1970."""
    began: dict[int, int] = dataclasses.field(default_factory=dict)
    """When each generation began, in milliseconds since 1970."""
    reports: dict[int, GenerationReport] = dataclasses.field(default_factory=dict)
    """Reports of the complete generations."""
    baselines: dict[str, Score] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Set MLflow's environment before MLflow is imported, as it is read then."""
        make_ready()

    def add_steps(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """Take optimizer steps that `log_training` is to send."""
        came = now()
        self.began.setdefault(generation, self.since)
        self.pending_steps.setdefault(generation, []).extend((step, came) for step in steps)

    def add_report(self, report: GenerationReport, ended: int) -> None:
        """Take the report of a generation that was complete at `ended`; the next generation begins then."""
        self.began.setdefault(report.generation, self.since)
        self.since = ended
        self.reports[report.generation] = report

    def log_settings(self) -> None:
        """Log all settings as one artifact and the short ones as params; give the experiment the view that the link opens, if it has none."""
        self._log_params(self.parent, self.settings, level="run")
        self.client.log_text(self.parent.info.run_id, pretty(self.settings), "workflow.json")
        known = self.client.get_experiment(self.parent.info.experiment_id).tags
        # Without the second tag, MLflow takes an experiment with traces for one about applications and opens other pages.
        for key, value in ((VIEW_TAG, mlflow_page.view()), ("mlflow.experimentKind", "custom_model_development")):
            if key not in known:
                self.client.set_experiment_tag(self.parent.info.experiment_id, key, value)

    def log_training(self, generation: int) -> None:
        """Log the steps that came since the last call. A training that is started again repeats steps that are on the curve already."""
        child, steps = self._child(generation), list(self.pending_steps[generation])
        # MLflow takes 1000 points in one call, and a step has up to ten.
        for first in range(0, len(steps), 100):
            points = [(figures.of_step(step), step.step, came) for step, came in steps[first : first + 100] if step.step > child.last_step]
            self._log(child.run_id, *points)
        child.last_step = max([child.last_step, *(step.step for step, _ in steps)])
        del self.pending_steps[generation][: len(steps)]

    def log_report(self, report: GenerationReport) -> None:
        """Log the same figures on the child, as a dot, and on the parent, as one more point of the line over generations."""
        child, further = self._child(report.generation), figures.of_further(self._further(report))
        if not child.complete:
            own = {"generation": report.generation, **figures.of_round(self.settings, report.generation)}
            self._log_params(self.client.get_run(child.run_id), own, level="generation")
            points = figures.over_generations(self.reports, report.generation)
            self._log(self.parent.info.run_id, *((values, number, self._child(number).began) for number, values in points.items()))
            self._log(child.run_id, (figures.telling(figures.of_report(report)), report.generation, child.began))
        for run_id in (child.run_id, self.parent.info.run_id) if further else ():
            self._log(run_id, (further, report.generation, child.began))

    def log_baseline(self, name: str, score: Score) -> None:
        """Log the baseline at the time when the parent began, so that logging it again changes nothing."""
        self._log(self.parent.info.run_id, (figures.of_baseline(name, score), 0, self.parent.info.start_time))

    def log_figures(self, name: str, measured: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path]) -> None:
        """Log figures at the time when the parent began, like a baseline. Raises LookupError if this store does not have the parent."""
        if (run := self._known_run()) is None:
            raise LookupError(f"mlflow.json in {self.folder} does not name a run of this store")
        points = (({f"{name}/{key}": value for key, value in values.items()}, step, run.info.start_time) for values, step in measured)
        self._log(run.info.run_id, *points)
        for file in files:
            self.client.log_artifact(run.info.run_id, str(file), name)

    def log_files(self, report: GenerationReport, folder: Path, ended: int) -> None:
        """Log datasets, the checkpoint as a model and as a version, files and traces; then the child is complete."""
        child, made = self._child(report.generation), report.candidate
        if child.complete:
            return
        from mlflow.entities import RunTag

        generation = Generation(self.client, child.run_id, self.parent.info.run_id, folder)
        tags = {"checkpoint": made.id, "kept": report.kept.id, "why": report.why, "mlflow.note.content": words(report.why), **facts(made)}
        self.client.log_batch(child.run_id, tags=[RunTag(key, plain_text(value)) for key, value in tags.items()])
        trained_on = generation.log_datasets()
        model_id = self.models.logged(made, child.run_id)
        self._log(child.run_id, (figures.telling(figures.of_score(report.score)), report.generation, child.began), model_id=model_id)
        self.models.register(made, child.run_id, model_id, trained_on, report.why)
        # The alias follows the last generation: an earlier one may be logged after it.
        self.models.crown(self.reports[max(self.reports)].kept)
        generation.log_files(report, figures.of_round(self.settings, report.generation))
        self._log_traces(report, generation, child)
        self.client.set_terminated(child.run_id, "FINISHED", ended)
        child.complete = True

    def _log_traces(self, report: GenerationReport, generation: Generation, child: Child) -> None:
        from mlflow.tracing.client import TracingClient

        writer = None if self.settings.get("teacher") and report.generation == 1 else self.children.get(report.start.generation)
        model_id = self.models.made_by(writer.run_id) if writer else None
        place = Place(self.parent.info.experiment_id, child.run_id, model_id, report.generation, child.began)
        generation.log_traces(RunFolder(self.folder), place, self.traces, TracingClient(self.uri))

    def log_description(self) -> None:
        """Put a summary of the run so far on the parent's page."""
        if reports := [self.reports[number] for number in sorted(self.reports)]:
            further = {report.generation: self._further(report) for report in reports}
            found = retained(RunFolder(self.folder), reports)
            line = found["told"] if found else None
            for key, text in mlflow_page.told(reports, self.baselines, self.models.registered, further, line).items():
                self.client.set_tag(self.parent.info.run_id, key, text)
            for report in reports:
                if gone := removed(Path(report.candidate.path)):
                    self.models.note_removal(report.candidate, f"removed on {gone.when} UTC by keep_checkpoints={gone.keep_checkpoints}")

    def log_description_again(self) -> None:
        """The same, if this store has the parent; none is made."""
        if self._known_run() is not None:
            self.log_description()

    def _further(self, report: GenerationReport) -> list[FurtherScore]:
        return further_scores(candidate_folder(RunFolder(self.folder), report.generation) / "evaluation")

    def log_end(self, status: str, ended: int) -> None:
        """Give the parent, and every child that is not complete, its final status."""
        for child in self.children.values():
            if not child.complete:
                self.client.set_terminated(child.run_id, status, ended)
        self.client.set_terminated(self.parent.info.run_id, status, ended)

    def _log_params(self, run: Any, settings: Mapping[str, Any], level: str) -> None:
        """Log the params that the run does not have yet: MLflow refuses to change one."""
        from mlflow.entities import Param, RunTag

        params = [Param(key, plain_text(value)) for key, value in figures.of_settings(settings).items() if key not in run.data.params]
        self.client.log_batch(run.info.run_id, params=params, tags=[RunTag("level", level)])

    def _log(self, run_id: str, *points: tuple[Mapping[str, float], int, int], model_id: str | None = None) -> None:
        """Log several figures, each set at a step and a time, in one call."""
        from mlflow.entities import Metric

        metrics = [Metric(key, value, when, step, model_id) for named, step, when in points for key, value in named.items()]
        self.client.log_batch(run_id, metrics=metrics)

    def _child(self, generation: int) -> Child:
        if generation not in self.children:
            began = self.began[generation]
            tags = {PARENT: self.parent.info.run_id, "generation": str(generation)}
            run = self.client.create_run(self.parent.info.experiment_id, began, tags, f"{self.name} generation {generation}")
            self.children[generation] = Child(run.info.run_id, began)
        return self.children[generation]

    @cached_property
    def models(self) -> Models:
        """The checkpoints in MLflow."""
        parent = self.parent.info
        return Models(self.client, not self.uri.startswith("http"), parent.experiment_id, parent.run_id, self.name)

    @cached_property
    def client(self) -> Any:
        """A client of our own."""
        return client_of(self.uri)

    @cached_property
    def parent(self) -> Any:
        """The parent run: the one that `mlflow.json` names, or a new one."""
        run = self._known_run()
        if run is None:
            known = self.client.get_experiment_by_name(self.experiment)
            experiment_id = known.experiment_id if known else self.client.create_experiment(self.experiment, artifacts_beside(self.uri))
            run = self.client.create_run(experiment_id, tags={"folder": plain_line(str(self.folder))}, run_name=self.name)
            self.folder.mkdir(parents=True, exist_ok=True)
            half = self.folder / "mlflow.half"
            half.write_text(pretty({"uri": redact(self.uri, self.uri), "experiment_id": run.info.experiment_id, "run_id": run.info.run_id}))
            half.replace(self.folder / "mlflow.json")
        self.client.update_run(run.info.run_id, "RUNNING")
        if self.group:
            above = group_run(self.client, run.info.experiment_id, self.group)
            self.client.update_run(above.info.run_id, "RUNNING")
            self.client.set_tag(run.info.run_id, PARENT, above.info.run_id)
        self.link = link_to(redact(self.uri, self.uri), run.info.experiment_id)
        return run

    @cached_property
    def children(self) -> dict[int, Child]:
        """Nested runs by generation. Those that an earlier process left open are set to running again."""
        children = {}
        query = f"tags.`{PARENT}` = '{self.parent.info.run_id}'"
        for run in self.client.search_runs([self.parent.info.experiment_id], query):
            child = Child(run.info.run_id, run.info.start_time, run.info.status == "FINISHED")
            if not child.complete:
                self.client.update_run(child.run_id, "RUNNING")
                child.last_step = max((point.step for point in self.client.get_metric_history(child.run_id, f"{figures.TRAINING}/loss")), default=0)
            children[int(run.data.tags["generation"])] = child
        return children

    def _known_run(self) -> Any:
        return known_run(self.uri, self.folder)


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)
