"""Where a generation keeps the average of its candidate with its start, and which of the two it went on with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from selfimprove.records.ranges import Count, Share
from selfimprove.storage.files import read_json
from selfimprove.storage.run_folder import RunFolder

TRAINED, AVERAGED = "trained", "averaged"
"""Names of the two candidates; the second is that of its folder."""


@dataclass(frozen=True, slots=True)
class Averaging:
    """An average of weights."""

    share: Share
    """Share of the weights that the training started from."""
    tensors: Count
    """Tensors that were averaged."""


def averaging_file(folder: Path) -> Path:
    """The record of the average whose checkpoint is in this folder."""
    return folder / "averaging.json"


def candidate_folder(run: RunFolder, number: int) -> Path:
    """The folder with the evaluation and the guards of a generation's candidate: `averaged/` where the report has the averaged one, else its own."""
    folder, report = run.generation(number), run.report(number)
    chosen = report and report.tried and report.candidate.id == report.tried[AVERAGED].checkpoint.id
    return folder / AVERAGED if chosen else folder


def chosen_share(run: RunFolder, number: int) -> float | None:
    """The share of the start in a generation's candidate; None where it was not averaged."""
    folder = candidate_folder(run, number)
    return read_json(averaging_file(folder), Averaging).share if folder.name == AVERAGED else None
