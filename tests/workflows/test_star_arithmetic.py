"""`workflows/star_arithmetic.py` with toy parts: both runs, the table and the chart."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from places import WORKFLOWS
from toy import ToySampler, ToyTrainer, make_toy_model

from selfimprove import InlineCluster
from selfimprove.problems.addition import Addition
from selfimprove.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Digits(ToySampler):
    """Right more often with fewer digits, and always with a hint."""

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        length = len(request.messages[-1]["content"].split()[0])
        helped = replace(self, help=1.0 if "answer is" in request.messages[-1]["content"] else 0.4 - 0.2 * length)
        question = request.messages[-1]["content"].splitlines()[0]
        asked = replace(request, messages=({"role": "system", "content": ""}, *[{"role": "user", "content": question}] * 2))
        return ToySampler._trace(helped, checkpoint, asked)


def test_runs_with_and_without_hints_are_made_and_drawn(
    tmp_path: Path, untracked: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    import star_arithmetic

    toys = replace(
        star_arithmetic.workflow,
        base_model=str(make_toy_model(tmp_path / "model", 0.3)),
        problems=Addition((1, 2), 40),
        eval_problems=20,
        sampler=Digits(),
        trainer=ToyTrainer(gain=0.002),
        generations=2,
    )
    star_arithmetic.main(toys, tmp_path / "runs", InlineCluster)
    out = capsys.readouterr().out
    assert out.count("rationalization, 1 digits:") == out.count("rationalization, 2 digits:") == 2
    assert (tmp_path / "runs" / "digits.svg").read_text().startswith("<?xml")
    with_hints, without = (RunFolder(tmp_path / "runs" / name).reports()[1] for name in ("with", "without"))
    assert with_hints.rationalization.figures()["trained_on"] > 0 and without.rationalization is None
    assert with_hints.counts.trained_on > without.counts.trained_on
    sys.modules.pop("star_arithmetic")
