"""What one generation has in MLflow besides figures: datasets, tables, files and a random draw of traces."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfimprove.records import AcceptedTrace, GenerationReport
from selfimprove.reports.traces import behaviours_of
from selfimprove.storage.files import read_column, read_json, read_records
from selfimprove.storage.manifest import SAMPLING
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking import mlflow_traces
from selfimprove.tracking.mlflow_traces import Place

LARGEST_ARTIFACT = 5_000_000
"""Maximum size in bytes of a file that is copied to MLflow."""
LONGEST_TABLE = 500
"""Maximum number of rows in the table of accepted traces; `accepted.parquet` has all of them."""
DATASETS = (
    # name, context, manifest and what the manifest calls it, file
    ("rows", "train", "training.manifest.json", "rows", "rows.parquet"),
    ("pairs", "train", "preference/training.manifest.json", "rows", "pairs.parquet"),
    ("eval", "evaluation", f"evaluation/{SAMPLING}", "problems", "../problems/eval.json"),
)


@dataclasses.dataclass
class Child:
    """The nested run of one generation."""

    run_id: str
    began: int
    """Milliseconds since 1970. All figures of the run carry this time: MLflow stores points with equal key, step, value and time once."""
    complete: bool = False
    last_step: int = 0
    """Last optimizer step that MLflow has."""


@dataclasses.dataclass(frozen=True)
class Generation:
    """One generation, on disk and in MLflow. Logging something twice stores it once."""

    client: Any
    run_id: str
    parent: str
    """Id of the parent run, which gets the datasets and traces too."""
    folder: Path

    def log_datasets(self) -> dict[str, str]:
        """Log training and evaluation sets under the digests in the manifests; returns the digest of each training set, by name."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs, trained = [], {}
        for name, context, manifest, key, file in DATASETS:
            if not (self.folder / manifest).exists():
                continue
            # MLflow takes at most 36 characters.
            digest = read_json(self.folder / manifest, dict[str, str])[key][:36]
            source = json.dumps({"uri": str((self.folder / file).resolve())})
            inputs.append(DatasetInput(Dataset(name, digest, "local", source), [InputTag("mlflow.data.context", context)]))
            if context == "train":
                trained[name] = digest
        for run_id in (self.run_id, self.parent):
            self.client.log_inputs(run_id, datasets=inputs)
        return trained

    def log_files(self, report: GenerationReport, settings: Mapping[str, Any]) -> None:
        """Log settings and report, the accepted traces as a file and as a table, and the plot of predicted solve rates."""
        self.client.log_text(self.run_id, pretty(settings), "settings.json")
        self.client.log_text(self.run_id, pretty(dataclasses.asdict(report)), "report.json")
        accepted = self.folder / "accepted.parquet"
        if accepted.exists():
            rows = read_records(accepted, AcceptedTrace)[:LONGEST_TABLE]
            columns = ["problem", "question", "completion", "origin", "trace"]
            data = [[row.problem_id, row.messages[-1]["content"], row.completion, row.origin, row.trace_id] for row in rows]
            # Not log_table, which appends to an existing table.
            self.client.log_text(self.run_id, json.dumps({"columns": columns, "data": data}, ensure_ascii=False), "accepted.json")
            self.client.set_tag(self.run_id, "mlflow.loggedArtifacts", json.dumps([{"path": "accepted.json", "type": "table"}]))
            if accepted.stat().st_size < LARGEST_ARTIFACT:
                self.client.log_artifact(self.run_id, str(accepted))
        reliability = self.folder / "difficulty" / "reliability.png"
        if reliability.exists():
            self.client.log_artifact(self.run_id, str(reliability))

    def log_traces(self, run: RunFolder, place: Place, most: int, tracing: Any) -> None:
        """Log at most `most` of the sampled traces."""
        drawn = mlflow_traces.draw(self.folder, most)
        if not drawn:
            return
        problems, behaviours = run.problems_by_id("train"), behaviours_of(run.settings())
        accepted = set(read_column(self.folder / "accepted.parquet", "trace_id"))
        for item in drawn:
            tracing.start_trace(mlflow_traces.info(item, problems[item.trace.problem_id], accepted, place))
        spans = [span for item in drawn for span in mlflow_traces.spans(item, problems[item.trace.problem_id], place, behaviours)]
        tracing.log_spans(place.experiment_id, spans)
        names = [mlflow_traces.trace_id(item, place) for item in drawn]
        # MLflow takes 100 in one call.
        for first in range(0, len(names), 100):
            self.client.link_traces_to_run(names[first : first + 100], self.parent)


def pretty(value: Any) -> str:
    """Indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
