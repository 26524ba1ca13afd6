"""GRPO with TRL on a tiny model."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers_sampler import rollouts_of

from selfimprove.errors import UserError
from selfimprove.protocols import Verifier
from selfimprove.records import Checkpoint, Outcome, Problem, ReinforcementPrompt, RolloutRequest, TrainingStep
from selfimprove.training.grpo import GRPO, OpenGRPO
from selfimprove.verification.pool import VerifierPool

PROMPTS = [ReinforcementPrompt(Problem(f"p{n}", f"{n} + 1 =", str(n + 1), "tests"), ({"role": "user", "content": f"{n} + 1 ="},)) for n in range(4)]
QUICK = {"problems_per_step": 2, "group_size": 8, "max_tokens": 8, "learning_rate": 2e-2, "warmup": 0.0, "threads": 1}


@dataclass(frozen=True)
class HoldsE(Verifier):
    """Accepts answers that contain an e: few random ones do."""

    name = "holds e"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        return Outcome.CORRECT if "e" in answer else Outcome.WRONG


def reinforce(folder: Path, into: Path, prompts: Sequence[ReinforcementPrompt] = PROMPTS, **settings: Any) -> list[TrainingStep]:
    trainer = GRPO(**{**QUICK, "rollouts": "trainer", "verifiers": VerifierPool(HoldsE(), processes=1), **settings})
    return list(trainer.open().train(Checkpoint("base", str(folder), None, 0, "", ""), prompts, into, 0))


@pytest.mark.trl
def test_reinforcement_raises_the_reward_and_every_rollout_is_counted(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    steps = reinforce(tiny_model, tmp_path / "out", steps=12, rows_at_once=5)
    assert [step.step for step in steps] == list(range(1, 13))
    assert {step.figures["rollouts"] for step in steps} == {16}
    for step in steps:
        assert step.figures["reward"] == pytest.approx(step.figures["rollouts_right"] / 16)
        assert 16 <= step.figures["rollout_tokens"] <= 16 * 8
    first, last = (sum(step.figures["reward"] for step in part) / 4 for part in (steps[:4], steps[-4:]))
    assert last > first + 0.2
    saved, before = load_file(tmp_path / "out/model.safetensors"), load_file(tiny_model / "model.safetensors")
    assert saved.keys() == before.keys() and {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
    assert steps[-1].tokens > sum(step.figures["rollout_tokens"] for step in steps)


def on_sampled(folder: Path, into: Path, offsets: Sequence[float], **settings: Any) -> tuple[list[TrainingStep], list[RolloutRequest]]:
    """The steps and requests of a training on rollouts whose log-probabilities are off by a number for each step."""
    opened = GRPO(**{**QUICK, "steps": len(offsets), **settings}).open()
    steps, requests = [], []
    for item in opened.train(Checkpoint("base", str(folder), None, 0, "", ""), PROMPTS, into, 0):
        if isinstance(item, RolloutRequest):
            requests.append(item)
            opened.answer(-1, [])
            opened.answer(item.number, rollouts_of(item.checkpoint, item.requests, lambda text: "e" in text, offsets[item.number]))
        else:
            steps.append(item)
    return steps, requests


@pytest.mark.trl
def test_it_learns_from_rollouts_of_the_sampler(tiny_model: Path, tmp_path: Path) -> None:
    steps, requests = on_sampled(tiny_model, tmp_path / "out", [0.0] * 10, weights_every=3)
    assert [request.number for request in requests] == [step.step - 1 for step in steps] == list(range(10))
    names = [request.checkpoint.id for request in requests]
    assert names == ["base"] * 3 + ["base/rollouts-3"] * 3 + ["base/rollouts-6"] * 3 + ["base/rollouts-9"]
    assert len({one.id for request in requests for one in request.requests}) == len({one.seed for request in requests for one in request.requests})
    first, second = requests[1].requests[0].problem_id, requests[1].requests[8].problem_id
    assert [one.id for one in requests[1].requests] == [f"{problem}/r1/s{sample}" for problem in (first, second) for sample in range(8)]
    for step in steps:
        assert step.figures["reward"] == pytest.approx(step.figures["rollouts_right"] / 16)
    # bfloat16 against float32: near 1 with the same weights, further away with older ones.
    off = [abs(step.figures["importance_ratio"] - 1) for step in steps]
    assert max(off[::3]) < 0.02 < max(off)
    assert sum(step.figures["reward"] for step in steps[-3:]) > sum(step.figures["reward"] for step in steps[:3])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.trl
def test_the_weight_of_a_token_is_its_ratio_up_to_the_limit(tiny_model: Path, tmp_path: Path) -> None:
    """A sampler that reports half, or a quarter, of each probability: the loss of the first step is doubled, and no more than doubled."""
    (plain,), _ = on_sampled(tiny_model, tmp_path / "plain", [0.0])
    (twice,), _ = on_sampled(tiny_model, tmp_path / "twice", [math.log(1 / 2)], importance_cap=3.0)
    (capped,), _ = on_sampled(tiny_model, tmp_path / "capped", [math.log(1 / 4)], importance_cap=2.0)
    assert plain.figures["importance_ratio"] == pytest.approx(1, abs=0.02) and plain.figures["importance_truncated"] == 0
    assert twice.figures["importance_ratio"] == pytest.approx(2, abs=0.04) and twice.figures["importance_truncated"] == 0
    assert capped.figures["importance_ratio"] == pytest.approx(4, abs=0.08) and capped.figures["importance_truncated"] == 1
    assert twice.loss == pytest.approx(2 * plain.loss, rel=0.1, abs=1e-3)
    assert capped.loss == pytest.approx(2 * plain.loss, rel=0.1, abs=1e-3)


@pytest.mark.trl
def test_closing_it_while_it_waits_for_rollouts_ends_it(tiny_model: Path, tmp_path: Path) -> None:
    running = GRPO(**QUICK).open().train(Checkpoint("base", str(tiny_model), None, 0, "", ""), PROMPTS, tmp_path / "out", 0)
    assert isinstance(next(running), RolloutRequest)
    running.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.trl
def test_vllm_stays_out_of_the_training_process() -> None:
    script = "import selfimprove.training.generating_trainers, sys; print('vllm.engine' in sys.modules or 'vllm.sampling_params' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "False"


@pytest.mark.trl
def test_closing_early_stops_it(tiny_model: Path, tmp_path: Path) -> None:
    trainer = GRPO(**{**QUICK, "rollouts": "trainer", "steps": 10_000, "verifiers": VerifierPool(HoldsE(), processes=1)})
    running = trainer.open().train(Checkpoint("base", str(tiny_model), None, 0, "", ""), PROMPTS, tmp_path / "out", 0)
    assert (next(running).step, next(running).step) == (1, 2)
    running.close()
    assert list(tmp_path.iterdir()) == []


def test_missing_settings_are_reported_before_anything_is_loaded(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no verifiers"):
        GRPO(rollouts="trainer").open()
    with pytest.raises(UserError, match="optim"):
        GRPO(options={"optim": "sgd"}).open()
    with pytest.raises(UserError, match="no problems to reinforce on"):
        reinforce(tiny_model, tmp_path / "out", [])
    with pytest.raises(ValueError, match="group_size"):
        GRPO(group_size=1)


def test_a_step_holds_whole_groups_whatever_the_size_of_a_pass(tmp_path: Path) -> None:
    trainer = OpenGRPO(GRPO(problems_per_step=8, group_size=6, rows_at_once=16))
    few, many = (trainer._settings(str(tmp_path), 0, problems) for problems in (3, 100))
    assert (many.per_device_train_batch_size, many.gradient_accumulation_steps) == (16, 3)
    assert (few.per_device_train_batch_size, few.gradient_accumulation_steps) == (9, 2)
