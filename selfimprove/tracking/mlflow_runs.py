"""A campaign as MLflow has it: a parent run, a nested run for each generation, a logged model for each checkpoint."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from selfimprove.records import Checkpoint, GenerationReport, Score, TrainingStep
from selfimprove.tracking import figures
from selfimprove.tracking.outbox import Outbox, without_password

LARGEST_ARTIFACT = 5_000_000
"""Bytes of the largest file that is copied to the tracker."""
ENVIRONMENT = {
    # By default one call to a server that is away blocks for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Set before MLflow is imported, where the user has not set them."""


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
class Campaign:
    """One parent run and its children. What fails halfway can be called again: it stores nothing twice."""

    uri: str
    experiment: str
    name: str
    settings: Mapping[str, Any]
    folder: Path
    outbox: Outbox = dataclasses.field(default_factory=lambda: Outbox("MLflow"))
    link: str | None = None
    untold_steps: dict[int, list[tuple[TrainingStep, int]]] = dataclasses.field(default_factory=dict)
    """By generation: each step with the time at which it came."""
    since: int = dataclasses.field(default_factory=lambda: now())
    """When the generation that is under way began."""
    began: dict[int, int] = dataclasses.field(default_factory=dict)
    """By generation, in milliseconds since 1970."""

    def __post_init__(self) -> None:
        """MLflow reads its environment when it is imported, so it is made ready here."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        logging.getLogger("alembic").setLevel(logging.WARNING)

    def tell_settings(self) -> None:
        """All settings as one artifact, the first few as params."""
        from mlflow.entities import Param

        known = self.parent.data.params
        params = [Param(key, value) for key, value in figures.of_settings(self.settings).items() if key not in known]
        self.client.log_batch(self.parent.info.run_id, params=params)
        self.client.log_text(self.parent.info.run_id, _json(self.settings), "workflow.json")

    def tell_training(self, generation: int) -> None:
        """The steps that came since the last time; a training that is begun again repeats steps that are on the curve."""
        child, steps = self._child(generation), list(self.untold_steps[generation])
        # MLflow takes 1000 points at once: up to ten for each step.
        for first in range(0, len(steps), 100):
            points = [(figures.of_step(step), step.step, came) for step, came in steps[first : first + 100] if step.step > child.last_step]
            self._log(child.run_id, *points)
        child.last_step = max([child.last_step, *(step.step for step, _ in steps)])
        del self.untold_steps[generation][: len(steps)]

    def tell_figures(self, report: GenerationReport) -> None:
        """The same figures on the child, as a dot, and on the parent, as one more point of the line over generations."""
        child = self._child(report.generation)
        if not child.complete:
            self.client.log_param(child.run_id, "generation", report.generation)
            for run_id in (child.run_id, self.parent.info.run_id):
                self._log(run_id, (figures.of_report(report), report.generation, child.began))

    def tell_baseline(self, name: str, score: Score) -> None:
        """At the time when the campaign began, so that telling it again changes nothing."""
        self._log(self.parent.info.run_id, (figures.of_baseline(name, score), 0, self.parent.info.start_time))

    def tell_measured(self, name: str, measured: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path]) -> None:
        """At the time when the campaign began, as a baseline; LookupError where this store does not have the campaign."""
        if (run := self._known_run()) is None:
            raise LookupError(f"mlflow.json in {self.folder} names no run of this store")
        points = (({f"{name}/{key}": value for key, value in values.items()}, step, run.info.start_time) for values, step in measured)
        self._log(run.info.run_id, *points)
        for file in files:
            self.client.log_artifact(run.info.run_id, str(file), name)

    def tell_files(self, report: GenerationReport, folder: Path, ended: int) -> None:
        """The checkpoint, the report, the accepted traces and how well their number was predicted; then the child is complete."""
        child = self._child(report.generation)
        if child.complete:
            return
        from mlflow.entities import RunTag

        made = report.candidate
        tags = {"checkpoint": made.id, "kept": report.kept.id, "why": report.why, **_facts(made)}
        self.client.log_batch(child.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        scores = figures.of_score("exam", report.score)
        self._log(child.run_id, (scores, report.generation, child.began), model_id=self._model(made, child))
        self.client.log_text(child.run_id, _json(dataclasses.asdict(report)), "report.json")
        accepted = folder / "accepted.parquet"
        if accepted.exists() and accepted.stat().st_size < LARGEST_ARTIFACT:
            self.client.log_artifact(child.run_id, str(accepted))
        reliability = folder / "difficulty" / "reliability.png"
        if reliability.exists():
            self.client.log_artifact(child.run_id, str(reliability))
        self.client.set_terminated(child.run_id, "FINISHED", ended)
        child.complete = True

    def tell_end(self, status: str, ended: int) -> None:
        """The final status of the parent and of every child that is not complete."""
        for child in self.children.values():
            if not child.complete:
                self.client.set_terminated(child.run_id, status, ended)
        self.client.set_terminated(self.parent.info.run_id, status, ended)

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

    def _model(self, checkpoint: Checkpoint, child: _Child) -> str:
        """The id of the logged model: a name, its facts and its figures; the weights stay where they are."""
        from mlflow.entities import LoggedModelOutput

        for model in self.client.search_logged_models([self.parent.info.experiment_id], f"source_run_id = '{child.run_id}'"):
            return str(model.model_id)
        model = self.client.create_logged_model(
            self.parent.info.experiment_id,
            name=figures.legal(checkpoint.id),
            source_run_id=child.run_id,
            tags={"mlflow.model.isExternal": "true"},
            params=_facts(checkpoint),
            model_type="checkpoint",
        )
        self.client.finalize_logged_model(model.model_id, "READY")
        self.client.log_outputs(child.run_id, [LoggedModelOutput(model.model_id, checkpoint.generation)])
        return str(model.model_id)

    @cached_property
    def client(self) -> Any:
        """A client of its own: the user's active run and tracking URI stay as they are."""
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    @cached_property
    def parent(self) -> Any:
        """The campaign's run: the one that `mlflow.json` names, or a new one."""
        run = self._known_run()
        if run is None:
            known = self.client.get_experiment_by_name(self.experiment)
            experiment_id = known.experiment_id if known else self.client.create_experiment(self.experiment, _artifacts(self.uri))
            run = self.client.create_run(experiment_id, tags={"folder": str(self.folder)}, run_name=self.name)
            self.folder.mkdir(parents=True, exist_ok=True)
            half = self.folder / "mlflow.half"
            half.write_text(_json({"uri": without_password(self.uri), "experiment_id": run.info.experiment_id, "run_id": run.info.run_id}))
            half.replace(self.folder / "mlflow.json")
        self.client.update_run(run.info.run_id, "RUNNING")
        self.link = _link(without_password(self.uri), run.info.experiment_id)
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


def store_address(uri: str | None) -> str:
    """The store's address; a SQLite file gets an absolute path, as it must not depend on the folder that a command is given in."""
    address = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///runs/mlflow.db"
    scheme, _, path = address.partition(":///")
    return f"sqlite:///{Path(path).resolve()}" if scheme == "sqlite" else address


def _artifacts(uri: str) -> str | None:
    """A folder beside a SQLite file, which would else keep artifacts in the current folder; a server knows its own."""
    return (Path(uri.removeprefix("sqlite:///")).parent / "mlflow-artifacts").as_uri() if uri.startswith("sqlite:///") else None


def _link(uri: str, experiment_id: str) -> str:
    """Where the curves over generations are shown, after the command that serves them where there is no server."""
    view = f"/#/experiments/{experiment_id}/runs?compareRunsMode=CHART&workflowType=machine_learning"
    if uri.startswith("http"):
        return uri.rstrip("/") + view
    # Without its job runner the server takes a fifth of the memory.
    return f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --backend-store-uri {shlex.quote(uri)}  →  http://127.0.0.1:5000{view}"


def _facts(checkpoint: Checkpoint) -> dict[str, str]:
    """What tells one checkpoint from another."""
    return {"path": checkpoint.path, "parent": checkpoint.parent_id or "none", "weights_hash": checkpoint.weights_hash}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)
