"""The checkpoints of a run in MLflow: each is a logged model and a version of the run's registered model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from selfimprove.records import Checkpoint
from selfimprove.terminal.safe_text import plain_line
from selfimprove.tracking.figures import legal

CHAMPION = "champion"
"""Alias of the version that the gate kept last."""


@dataclass
class Models:
    """Logs and registers checkpoints. Calling a method again makes no second model or version; weights stay where they are."""

    client: Any
    local: bool
    """Whether the store is reached without a server. A server does not accept a folder as the source of a version."""
    experiment_id: str
    parent: str
    """Id of the parent run."""
    name: str

    def logged(self, checkpoint: Checkpoint, run_id: str) -> str:
        """Log the checkpoint as a model of this run, if it is not logged yet; returns the model's id."""
        from mlflow.entities import LoggedModelOutput

        model_id = self.made_by(run_id) or self._create(checkpoint, run_id)
        self.client.finalize_logged_model(model_id, "READY")
        # Otherwise MLflow lists the output twice.
        if not self.client.get_run(run_id).outputs.model_outputs:
            self.client.log_outputs(run_id, [LoggedModelOutput(model_id, checkpoint.generation)])
        return model_id

    def _create(self, checkpoint: Checkpoint, run_id: str) -> str:
        model = self.client.create_logged_model(
            self.experiment_id,
            name=legal(checkpoint.id),
            source_run_id=run_id,
            tags={"mlflow.model.isExternal": "true"},
            params=facts(checkpoint),
            model_type="checkpoint",
        )
        return str(model.model_id)

    def made_by(self, run_id: str) -> str | None:
        """The id of this run's logged model; None if it has none yet."""
        found = self.client.search_logged_models([self.experiment_id], f"source_run_id = '{run_id}'")
        return str(found[0].model_id) if found else None

    def register(self, checkpoint: Checkpoint, run_id: str, model_id: str, datasets: Mapping[str, str], description: str) -> None:
        """Make the checkpoint a version whose tags say where it comes from. `datasets` maps each training set to its digest."""
        versions = self.versions()
        if checkpoint.id in versions:
            return
        lineage = {
            "checkpoint": checkpoint.id,
            "generation": str(checkpoint.generation),
            "parent_version": versions.get(checkpoint.parent_id or "", "none"),
            **{f"{name}_digest": digest for name, digest in datasets.items()},
            **facts(checkpoint),
        }
        source = checkpoint.path if self.local else f"models:/{model_id}"
        self.client.create_model_version(self.registered, source, run_id, lineage, description=description, await_creation_for=0, model_id=model_id)

    def crown(self, checkpoint: Checkpoint) -> None:
        """Move the alias to this checkpoint's version, if it has one."""
        if version := self.versions().get(checkpoint.id):
            self.client.set_registered_model_alias(self.registered, CHAMPION, version)

    def note_removal(self, checkpoint: Checkpoint, text: str) -> None:
        """Tag this checkpoint's version, if it has one: its weights are not on disk any more."""
        if version := self.versions().get(checkpoint.id):
            self.client.set_model_version_tag(self.registered, version, "weights", text)

    def versions(self) -> dict[str, str]:
        """Version numbers by checkpoint id."""
        found = self.client.search_model_versions(f"name = '{self.registered}'")
        return {version.tags["checkpoint"]: str(version.version) for version in found}

    @cached_property
    def registered(self) -> str:
        """The name of the registered model: the run's name, followed by part of the parent run's id if another run has that name."""
        plain = legal(self.name)
        tags = {"run": self.parent}
        found = self.client.search_registered_models(f"name = '{plain}'")
        if found and found[0].tags.get("run") != self.parent:
            plain = f"{plain}-{self.parent[:8]}"
            found = self.client.search_registered_models(f"name = '{plain}'")
        if not found:
            self.client.create_registered_model(plain, tags, f"The checkpoints of the run {self.name}, one version for each generation.")
        return plain


def facts(checkpoint: Checkpoint) -> dict[str, str]:
    """What distinguishes one checkpoint from another."""
    return {"path": plain_line(checkpoint.path), "parent": checkpoint.parent_id or "none", "weights_hash": checkpoint.weights_hash}
