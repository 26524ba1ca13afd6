"""Rows and pairs that are too long for their trainer are left out and counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from toy import ToyPreference, ToyTrainer, make_toy_model, toy_workflow

from selfimprove import InlineCluster, PreferencePairs, UserError, improve
from selfimprove.records import AcceptedTrace, Checkpoint, Pair, TrainingStep
from selfimprove.seeds import derive_seed
from selfimprove.stages.train import TOO_LONG
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking.figures import legal, of_report


@dataclass(frozen=True)
class Narrow(ToyTrainer):
    """Takes rows of at most `max_length` characters."""

    max_length: int = 32
    asked: ClassVar[list[int]] = []

    def fitting(self, start: Checkpoint, rows: Sequence[AcceptedTrace]) -> list[int]:
        self.asked.append(len(rows))
        fits = [place for place, row in enumerate(rows) if len(row.completion) <= self.max_length]
        if rows and not fits:
            raise UserError(f"all {len(rows)} rows are longer than max_length={self.max_length}")
        return fits

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        assert all(len(row.completion) <= self.max_length for row in rows)
        yield from super().train(start, rows, into, seed)


@dataclass(frozen=True)
class NarrowPreference(ToyPreference):
    """Takes no first pair."""

    def fitting(self, start: Checkpoint, rows: Sequence[Pair]) -> list[int]:
        return list(range(1, len(rows)))


def test_rows_and_pairs_that_are_too_long_are_counted_and_not_trained_on(tmp_path: Path) -> None:
    pairs = PreferencePairs(trainer=NarrowPreference())
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.4), trainer=Narrow(), preference_pairs=pairs)
    improve(workflow, tmp_path / "run", InlineCluster)
    run, generations = RunFolder(tmp_path / "run"), list[list[AcceptedTrace]]()
    for report in run.reports()[1:]:
        folder = run.generation(report.generation)
        accepted, rows = (read_records(folder / f"{name}.parquet", AcceptedTrace) for name in ("accepted", "rows"))
        generations.append(accepted)
        assembled = workflow.mixture.rows(generations, derive_seed(workflow.seed, report.generation))
        assert rows == [row for row in assembled if len(row.completion) <= 32]
        assert report.counts.trained_on == len(rows) and report.drops[TOO_LONG] == len(assembled) - len(rows) > 0
        assert report.counts.pairs == len(read_records(folder / "pairs.parquet", Pair)) - 1
        assert report.drops[f"pairs {TOO_LONG}"] == 1
        assert of_report(report)[f"drops/{legal(TOO_LONG)}"] == report.drops[TOO_LONG]

    # Which rows fit is kept: a run that goes on after its training asks no trainer.
    asked = list(Narrow.asked)
    (run.generation(2) / "report.json").unlink()
    improve(workflow, tmp_path / "run", InlineCluster)
    assert Narrow.asked == asked and RunFolder(tmp_path / "run").reports()[2].drops[TOO_LONG] > 0


def test_a_run_ends_if_all_rows_are_too_long(tmp_path: Path) -> None:
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.4), trainer=Narrow(max_length=3))
    with pytest.raises(UserError, match="rows are longer than max_length=3"):
        improve(workflow, tmp_path / "run", InlineCluster)
