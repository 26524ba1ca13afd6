"""A run in MLflow above the runs of several seeds: their means, with the seeds' runs nested in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfimprove.errors.redaction import redact
from selfimprove.reports.markdown import words
from selfimprove.reports.seeds import remarks, tables
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.safe_text import plain_line, plain_text
from selfimprove.tracking import figures

PARENT = "mlflow.parentRunId"
"""Tag of a nested run with the id of the run that it is nested in."""
GROUP = "group"


def group_run(client: Any, experiment_id: str, group: str) -> Any:
    """The run above the runs of this group, found by its name or made."""
    name = figures.legal(group)
    found = client.search_runs([experiment_id], f"tags.{GROUP} = '{name}' and tags.level = '{GROUP}'")
    return found[0] if found else client.create_run(experiment_id, tags={GROUP: name, "level": GROUP}, run_name=plain_line(group))


def client_of(uri: str) -> Any:
    """A client for this store, which leaves the user's active run and tracking URI as they are. A local store that is not there is made."""
    from mlflow import MlflowClient

    return MlflowClient(uri)


def known_run(uri: str, folder: Path) -> Any:
    """The run that `mlflow.json` in a run folder names; None if it belongs to another store or was deleted."""
    from mlflow.exceptions import MlflowException

    file = folder / "mlflow.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    if kept.get("uri") != redact(uri, uri):
        return None
    try:
        run = client_of(uri).get_run(kept["run_id"])
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def log_group(client: Any, uri: str, group: str, found: Mapping[str, Any] | None, runs: Sequence[RunFolder], status: str, ended: int) -> None:
    """Nest the runs of this store in the group's run, and give that the means over seeds and its final status; logging it again changes nothing.

    Args:
        found: As `summarize_seeds` returns it; None if no seed is complete.
    """
    known = [(run, mirrored) for run in runs if (mirrored := known_run(uri, run.root))]
    if not known:
        return
    above = group_run(client, known[0][1].info.experiment_id, group)
    for _, mirrored in known:
        if mirrored.data.tags.get(PARENT) != above.info.run_id:
            client.set_tag(mirrored.info.run_id, PARENT, above.info.run_id)
    if found:
        _log_means(client, above, found, known[0][0].settings(), ended)
    client.set_terminated(above.info.run_id, status, ended)


def _log_means(client: Any, above: Any, found: Mapping[str, Any], settings: Mapping[str, Any], now: int) -> None:
    from mlflow.entities import Metric, Param, RunTag

    values = {"seeds/seeds": float(len(found["runs"]))}
    for section, rows in (("seeds", found["scores"]), ("seeds_gain", found["gains"])):
        for name, row in rows.items():
            key = f"{section}/{figures.legal(name)}"
            values |= {key: row["mean"], **{f"{key}_{bound}": row[bound] for bound in ("low", "high")}}
    scores = found["scores"]
    result = f"pass@1 {scores['base']['mean']:.3f} → {scores['champion']['mean']:.3f}, mean of {len(found['runs'])} seeds"
    tags = {"result": result, "mlflow.note.content": plain_text("\n".join(_description(found)))}
    same = {name: value for name, value in settings.items() if name != "seed"}
    client.log_batch(
        above.info.run_id,
        metrics=[Metric(key, value, now, 0) for key, value in values.items() if above.data.metrics.get(key) != value],
        params=[Param(key, plain_text(value)) for key, value in figures.of_settings(same).items() if key not in above.data.params],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )


def _description(found: Mapping[str, Any]) -> list[str]:
    lines = []
    for title, header, rows in tables(found):
        lines += [f"**{words(title)}**", "", _row([name or " " for name in header]), "|---" * len(header) + "|", *map(_row, rows), ""]
    return [*lines, *(f"{words(line)}\n" for line in remarks(found)), "The nested runs are the seeds."]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(words(cell) for cell in cells) + " |"
