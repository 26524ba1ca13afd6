"""A process reward model that has changed since it was written scores nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import make_toy_model, toy_workflow

from selfimprove import InlineCluster, PlainQuestion, RewardModel, StepRewards, open_run_context
from selfimprove.records import Checkpoint, Problem
from selfimprove.stages.score_steps import rewards_of
from selfimprove.storage.hashes import Damaged, keep_hashes


def test_a_changed_reward_model_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    model = make_toy_model(tmp_path / "rewards" / "model", 0.5)
    keep_hashes(model)
    weights = next(model.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    part = StepRewards(scorer=RewardModel(Checkpoint("rewards", str(model), None, 0, "w", "t")), prompter=PlainQuestion())
    asked = {"t": (Problem("p", "q", "5", "test"), ("2 + 3 = 5.",))}
    with (
        open_run_context(toy_workflow(make_toy_model(tmp_path / "base", 0.5)), tmp_path / "run", InlineCluster) as context,
        pytest.raises(Damaged, match=r"model\.safetensors has changed since it was written"),
    ):
        rewards_of(context, part, asked, tmp_path / "rewards.parquet")
    assert not (tmp_path / "rewards.parquet").exists()
