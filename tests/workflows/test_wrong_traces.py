"""`workflows/wrong_traces.py` on a finished run of toy parts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from places import WORKFLOWS
from toy import ToyPreference, make_toy_model, skill_of, toy_workflow

from selfimprove import InlineCluster, improve
from selfimprove.records import Pair
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder

FILE = WORKFLOWS / "wrong_traces.py"


@pytest.fixture
def wrong_traces() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wrong_traces", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_champion_trains_on_pairs_of_the_newest_generations(wrong_traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow, run = toy_workflow(make_toy_model(tmp_path / "model", 0.2)), RunFolder(tmp_path / "run")
    champion = improve(workflow, run.root, InlineCluster)
    before, after = wrong_traces.main(run, workflow, ToyPreference(gain=0.03), 9, tmp_path / "out", InlineCluster)
    pairs = read_records(tmp_path / "out/pairs.parquet", Pair)
    assert [pair.generation for pair in pairs] == sorted((pair.generation for pair in pairs), reverse=True)
    assert len(pairs) == 9 and pairs[0].generation == 2
    assert skill_of(tmp_path / "out/checkpoint") == pytest.approx(min(0.95, skill_of(champion.path) + 0.03 * 9))
    assert after.pass_at_1 >= before.pass_at_1
    assert f"9 pairs; pass@1 {before.pass_at_1:.3f} → {after.pass_at_1:.3f}" in capsys.readouterr().out
