"""`workflows/one_round_by_hand.py` runs from its first cell to its last, with toy parts in this process."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from places import WORKFLOWS
from toy import make_toy_model, skill_of, toy_workflow

SCRIPT = WORKFLOWS / "one_round_by_hand.py"


def test_every_cell_makes_its_record_and_prints_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.2))
    monkeypatch.setitem(sys.modules, "quickstart", SimpleNamespace(workflow=workflow))  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    made = runpy.run_path(str(SCRIPT))

    assert len(made["problems"]) == 20 and len(made["context"].eval_problems) == 20 and len(made["judged"]) == 2 * 20
    accepted = len(made["selection"].accepted)
    assert 0 < accepted < 40 and skill_of(made["student"].path) == pytest.approx(min(0.95, 0.2 + 0.02 * len(made["rows"])))
    assert made["after"].pass_at_1 > made["before"].pass_at_1 and made["decision"].promote
    told = capsys.readouterr().out
    for record in (
        "20 problems, 20 for evaluation; the first: 'What is",
        f"40 requests; the first, {made['requests'][0].id}, at temperature 0.8",
        f"{made['trace'].id}: 12 tokens, stop\n<think>",
        f"        step: {made['trace'].text.split()[1]} + ",
        f"'correct': {accepted}",
        f"{accepted} accepted, dropped: {{'wrong': {40 - accepted}}}",
        "student, child of base: ",
        f"student: pass@1 {made['after'].pass_at_1:.3f}",
        "kept: pass@1 ",
    ):
        assert record in told
