"""vLLM's pooling runner with a tiny process reward model gives the scores of transformers."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from selfimprove import InlineCluster, UserError
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.process_reward import scoring
from selfimprove.process_reward.rollouts import Rollouts
from selfimprove.process_reward.scoring import OpenRewardModel, RewardModel, step_rewards
from selfimprove.process_reward.training import RewardTrainer
from selfimprove.protocols import StepScorer
from selfimprove.records import Message
from selfimprove.sampling.vllm_engine import ENVIRONMENT

THOUGHTS = ("\nOne more.\n", "And 7 - 7 = 0, so that there is more.\n", "No.\n")
ASKED = [(({"role": "user", "content": f"{number} + {number} ="},), THOUGHTS[: number % 4]) for number in range(9)]


@pytest.fixture(scope="module")
def folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A process reward model as training saves it, but with random weights."""
    from selfimprove.checkpoints.saving import save_checkpoint
    from selfimprove.process_reward.training import load_headless

    model = load_headless(str(tiny_model), seed=0)
    model.score.weight.data *= 50
    model.config.process_reward = {"begin": "<think>", "center": 0.5, "scale": 2.0}
    save_checkpoint(model, tiny_model, tmp_path_factory.mktemp("reward") / "model")
    return tmp_path_factory.getbasetemp() / "reward0" / "model"


@pytest.fixture(scope="module")
def opened(folder: Path) -> Iterator[OpenRewardModel]:
    os.environ.update(ENVIRONMENT)
    engine = {"max_model_len": 128, "kv_cache_memory_bytes": 64 << 20, "max_num_seqs": 8, "dtype": "float32"}
    model = RewardModel(describe_folder(folder, "reward"), engine).open()
    yield model
    model.close()


@pytest.mark.vllm
def test_rewards_are_those_that_transformers_computes(opened: OpenRewardModel, folder: Path) -> None:
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    from selfimprove.process_reward.reading import read

    model = AutoModelForTokenClassification.from_pretrained(folder, dtype="float32").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    scored = opened.score(ASKED)
    assert [len(rewards) for rewards in scored] == [len(thoughts) for _, thoughts in ASKED]
    for (messages, thoughts), rewards in zip(ASKED, scored, strict=True):
        ids, ends = read(tokenizer, messages, "<think>", thoughts)
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, ends, 0]
        assert rewards == pytest.approx(((logits - 0.5) / 2).sigmoid().tolist(), abs=1e-4)
    every = [reward for rewards in scored for reward in rewards]
    assert max(every) - min(every) > 0.1, "rewards that are all the same compare nothing"


@pytest.mark.vllm
def test_a_trace_that_does_not_fit_is_refused_and_the_engine_goes_on(opened: OpenRewardModel) -> None:
    with pytest.raises(UserError, match=r"a trace of \d+ tokens exceeds the reward model's context of 128"):
        opened.score([(ASKED[0][0], ("word " * 200,))])
    assert opened.score(ASKED[:1]) == [()] and len(opened.score(ASKED[1:2])[0]) == 1


@dataclass(frozen=True)
class Lengths(StepScorer):
    """Rewards a thought by its length."""

    def open(self) -> Lengths:
        return self

    def score(self, asked: Sequence[tuple[tuple[Message, ...], tuple[str, ...]]]) -> list[tuple[float, ...]]:
        assert 0 < len(asked) <= 4
        return [tuple(1 / len(thought) for thought in thoughts) for _, thoughts in asked]

    def close(self) -> None: ...


def test_many_traces_are_scored_in_calls_of_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "LARGEST_CALL", 4)
    found = step_rewards(Lengths(), ASKED, InlineCluster())
    assert found == [tuple(1 / len(thought) for thought in thoughts) for _, thoughts in ASKED]
    assert step_rewards(Lengths(), [], InlineCluster()) == []


def test_parts_can_be_pickled(folder: Path) -> None:
    for part in (
        RewardModel(describe_folder(folder, "reward"), {"max_model_len": 128}),
        RewardTrainer(eval_problems=0.5),
        Rollouts(first_error=True),
    ):
        assert pickle.loads(pickle.dumps(part)) == part


def test_a_logit_of_any_size_is_a_probability() -> None:
    reading = scoring.Reading("<think>", center=1.0, scale=0.5)
    assert reading.probability(1.0) == 0.5 and reading.probability(1.5) == pytest.approx(0.7310586)
    assert reading.probability(-1e9) == 0 and reading.probability(1e9) == 1


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ("", "config.json cannot be read: is empty"),
        ("[1]", "config.json cannot be read: holds a list"),
        ("{}", "is not a process reward model"),
        ('{"process_reward": 1, "token_classification_bias": false}', "config.json: process_reward: "),
        (
            '{"process_reward": {"begin": "<think>", "scale": true}, "token_classification_bias": false}',
            "Input should be a valid number",
        ),
    ],
    ids=range(5),
)
def test_an_odd_configuration_of_a_process_reward_model_is_named(config: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=line):
        scoring.reading(tmp_path)
