"""`workflows/reflection.py` to its end with a tiny model that SFT trains, on traces that a toy writes in the model's tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from places import WORKFLOWS
from toy import Sums
from two_ways import TwoWaysOfTokens

from selfimprove import Exact, InlineCluster, improve
from selfimprove.records import AcceptedTrace
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.workflow.files import load_workflow


@pytest.mark.trl
def test_a_model_is_trained_on_revisions_without_loss_on_their_wrong_part(tiny_model: Path, tmp_path: Path) -> None:
    workflow, _ = load_workflow(WORKFLOWS / "reflection.py")
    tiny = replace(
        workflow,
        base_model=str(tiny_model),
        problems=Sums(16),
        eval_problems=4,
        verifier=Exact(),
        sampler=TwoWaysOfTokens(),
        trainer=replace(workflow.trainer, epochs=1, min_steps=2, batch_size=8),
        generations=1,
    )
    improve(tiny, tmp_path / "run", InlineCluster)
    base, report = RunFolder(tmp_path / "run").reports()
    rows = read_records(tmp_path / "run/generation-01/rows.parquet", AcceptedTrace)
    revised = [row for row in rows if row.origin == "revised"]
    assert report.counts and 0 < len(revised) == report.counts.revised <= 0.5 * len(rows) and report.counts.confirmed
    assert all(row.forced and row.completion_token_ids for row in revised)
    assert report.counts.trained_on == len(rows) and report.candidate.weights_hash != base.candidate.weights_hash
    assert base.first_attempts and report.first_attempts
