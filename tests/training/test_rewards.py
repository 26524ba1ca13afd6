"""Rewards of rollouts, and rollouts that the trainer samples itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from selfimprove.protocols import OpenVerifiers, Verifiers
from selfimprove.records import JudgedTrace, Outcome, Problem, ReinforcementPrompt, Trace, Verdict
from selfimprove.training.rewards import OwnRollouts, Rewards

PROMPTS = [ReinforcementPrompt(Problem(f"p{n}", f"{n} + 1 =", str(n + 1), "tests"), ({"role": "user", "content": f"{n} + 1 ="},)) for n in range(4)]


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


def own(folder: Path, text: str, ends: bool) -> list[JudgedTrace]:
    """A rollout of this text, as the trainer's own samples are judged."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] * ends
    judged = OwnRollouts(PROMPTS, tokenizer, Said()).judged([2], [ids])
    assert judged[0].trace.problem_id == "p2" and list(judged[0].trace.output_token_ids) == ids
    return judged


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
    rewards, judged = Rewards(format_reward=0.25), own(tiny_model, text, ends)
    assert rewards.of(judged) == [reward]
    counts = rewards.counted()
    assert counts["rollouts"] == 1 and counts["rollout_tokens"] == len(judged[0].trace.output_token_ids)
    assert counts["rollouts_right"] == ("correct" in text) and counts["rollouts_undecided"] == (reward is None)
    assert rewards.counted() == {}


@pytest.mark.parametrize(("partial_credit", "reward"), [(False, 0.25), (True, 0.75)])
def test_a_wrong_answer_is_worth_its_score_only_with_partial_credit(tiny_model: Path, partial_credit: bool, reward: float) -> None:
    rewards = Rewards(0.25, partial_credit)
    assert rewards.of(own(tiny_model, "<think>so</think>half wrong", True)) == [reward]
    assert rewards.counted()["rollouts_right"] == 0
