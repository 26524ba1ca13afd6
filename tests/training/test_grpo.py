"""GRPO with TRL on a tiny model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from selfimprove.errors import UserError
from selfimprove.protocols import OpenVerifiers, Verifier, Verifiers
from selfimprove.records import Checkpoint, Outcome, Problem, ReinforcementPrompt, Trace, TrainingStep, Verdict
from selfimprove.training.grpo import GRPO, OpenGRPO, Rewards
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


@dataclass(frozen=True)
class Said(Verifiers):
    """Gives each trace the outcome named in its text, and a score of one half if the text says `half`."""

    def open(self) -> OpenVerifiers:
        return self

    def verify(self, pairs: Sequence[tuple[Problem, Trace]]) -> list[Verdict]:
        outcomes = [next(o for o in Outcome if o.value in trace.text) for _, trace in pairs]
        scores = [0.5 if "half" in trace.text else outcome.score for (_, trace), outcome in zip(pairs, outcomes, strict=True)]
        return [Verdict(trace.id, outcome, None, "said", "1", score) for (_, trace), outcome, score in zip(pairs, outcomes, scores, strict=True)]

    def close(self) -> None: ...


def reinforce(folder: Path, into: Path, prompts: Sequence[ReinforcementPrompt] = PROMPTS, **settings: Any) -> list[TrainingStep]:
    trainer = GRPO(**{**QUICK, "verifiers": VerifierPool(HoldsE(), processes=1), **settings})
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


@pytest.mark.trl
def test_vllm_stays_out_of_the_training_process() -> None:
    script = "import selfimprove.training.generating_trainers, sys; print('vllm.engine' in sys.modules or 'vllm.sampling_params' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "False"


@pytest.mark.trl
def test_closing_early_stops_it(tiny_model: Path, tmp_path: Path) -> None:
    trainer = GRPO(**{**QUICK, "steps": 10_000, "verifiers": VerifierPool(HoldsE(), processes=1)})
    running = trainer.open().train(Checkpoint("base", str(tiny_model), None, 0, "", ""), PROMPTS, tmp_path / "out", 0)
    assert (next(running).step, next(running).step) == (1, 2)
    running.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "ends", "reward"),
    [
        ("<think>so</think>correct", True, 1.25),
        ("<think>so</think>correct", False, 1.0),
        ("correct", True, 1.0),
        ("<think>so</think>wrong", True, 0.25),
        ("<think>unparseable", True, 0.0),
        ("<think>so</think>timeout", True, None),
        ("<think>so</think>crash", True, None),
    ],
)
def test_a_rollout_is_rewarded_for_its_verdict_and_its_form(tiny_model: Path, text: str, ends: bool, reward: float | None) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rewards = Rewards(PROMPTS, tokenizer, Said(), format_reward=0.25)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] * ends
    assert rewards.of([2], [ids]) == [reward]
    counts = rewards.counted()
    assert counts["rollouts"] == 1 and counts["rollout_tokens"] == len(ids)
    assert counts["rollouts_right"] == ("correct" in text) and counts["rollouts_undecided"] == (reward is None)
    assert rewards.counted() == {}


@pytest.mark.parametrize(("partial_credit", "reward"), [(False, 0.25), (True, 0.75)])
def test_a_wrong_answer_is_worth_its_score_only_with_partial_credit(tiny_model: Path, partial_credit: bool, reward: float) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rewards = Rewards(PROMPTS, tokenizer, Said(), 0.25, partial_credit)
    ids = tokenizer("<think>so</think>half wrong", add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    assert rewards.of([0], [ids]) == [reward]
    assert rewards.counted()["rollouts_right"] == 0


def test_missing_settings_are_reported_before_anything_is_loaded(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no verifiers"):
        GRPO().open()
    with pytest.raises(UserError, match="optim"):
        GRPO(verifiers=Said(), options={"optim": "sgd"}).open()
    with pytest.raises(UserError, match="no problems to reinforce on"):
        reinforce(tiny_model, tmp_path / "out", [])
    with pytest.raises(ValueError, match="group_size"):
        GRPO(group_size=1)


def test_a_step_holds_whole_groups_whatever_the_size_of_a_pass(tmp_path: Path) -> None:
    trainer = OpenGRPO(GRPO(problems_per_step=8, group_size=6, rows_at_once=16), Said())
    few, many = (trainer._settings(str(tmp_path), 0, problems) for problems in (3, 100))
    assert (many.per_device_train_batch_size, many.gradient_accumulation_steps) == (16, 3)
    assert (few.per_device_train_batch_size, few.gradient_accumulation_steps) == (9, 2)
