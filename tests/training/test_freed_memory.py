"""After its work a trainer, a reward trainer, an embedder or a measurement of drift holds no tensor of its model, so nothing of it stays on a GPU."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy import Sums

from selfimprove import DPO, GRPO, SFT, Exact
from selfimprove.difficulty.embedder import Embedder
from selfimprove.process_reward.training import RewardTrainer
from selfimprove.records import AcceptedTrace, Checkpoint, LabelledTrace, Pair, ReinforcementPrompt
from selfimprove.records.delimiters import THINK
from selfimprove.verification.pool import VerifierPool

pytestmark = pytest.mark.trl

ASKED = tuple(({"role": "user", "content": f"{number} + 1 ="},) for number in range(1, 9))
ROWS = [AcceptedTrace(f"p{place}/s0", f"p{place}", asked, "ten", "sampled", 1, None) for place, asked in enumerate(ASKED)]
PAIRS = [Pair(f"p{place}", 1, asked, "a", "ten", None, (), "b", "no idea", None, ()) for place, asked in enumerate(ASKED)]
PROMPTS = [ReinforcementPrompt(problem, ({"role": "user", "content": problem.question},), THINK) for problem in Sums(4).load()]
LABELLED = [LabelledTrace(f"p{place}/s0", f"p{place}", "1 + 1 =", ("a thought.\n", "another.\n"), (1.0, 0.5), (4, 4)) for place in range(8)]


def sft(start: Checkpoint, into: Path) -> Iterator[Any]:
    return SFT(batch_size=4, epochs=1, max_length=64, threads=1).open().train(start, ROWS, into, 0)


def dpo(start: Checkpoint, into: Path) -> Iterator[Any]:
    return DPO(batch_size=4, max_length=64, threads=1).open().train(start, PAIRS, into, 0)


def grpo(start: Checkpoint, into: Path) -> Iterator[Any]:
    part = GRPO(steps=1, problems_per_step=2, group_size=2, max_tokens=8, threads=1, rollouts="trainer", verifiers=VerifierPool(Exact()))
    return part.open().train(start, PROMPTS, into, 0)


def asking(start: Checkpoint, into: Path) -> Iterator[Any]:
    return GRPO(steps=1, problems_per_step=2, group_size=2, max_tokens=8, threads=1).open().train(start, PROMPTS, into, 0)


def reward(start: Checkpoint, into: Path) -> Iterator[Any]:
    return RewardTrainer(batch_size=4, epochs=1, threads=1).open().train(start, LABELLED, into, 0)


def embedder(start: Checkpoint, into: Path) -> Iterator[Any]:
    return Embedder().open().embed(start, [(f"p{place}", asked) for place, asked in enumerate(ASKED)])


def drift(start: Checkpoint, into: Path) -> Iterator[Any]:
    from selfimprove.training.drift import measure

    return measure(start, replace(start, id="other", weights_hash="other"), "7 - 7 = 0. " * 400, "hash")


def large_tensors() -> dict[int, int]:
    """The tensors in this process with more than 500 numbers, by identity, with their sizes; also those that only cycles refer to."""
    import torch

    # Not `isinstance`: that would import what lazy modules stand for. Nor subclasses: the compiler keeps some whose sizes are symbols.
    kinds = (torch.Tensor, torch.nn.Parameter)
    return {id(one): one.numel() for one in gc.get_objects() if type(one) in kinds and one.numel() > 500}


@pytest.mark.parametrize(
    ("work", "stopped"), [(sft, False), (dpo, True), (grpo, False), (asking, True), (reward, False), (embedder, True), (drift, True)]
)
def test_no_tensor_of_the_model_is_left(
    tiny_model: Path, tmp_path: Path, work: Callable[[Checkpoint, Path], Iterator[Any]], stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied = []
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: emptied.append(True))
    gc.collect()
    before = large_tensors()
    working = work(Checkpoint("base", str(tiny_model), None, 0, "", ""), tmp_path / "out")
    next(working)
    assert large_tensors().keys() - before.keys(), "the model is there while it works"
    if stopped:
        working.close()  # type: ignore[attr-defined]
    else:
        list(working)
    left = large_tensors()
    assert [left[name] for name in left.keys() - before.keys()] == []
    assert emptied


def test_a_training_that_fails_keeps_nothing_either(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is kept, as pytest keeps it here, and with it its frames."""

    def fail(*_: object, **__: object) -> None:
        raise ValueError("in the middle of a step")

    gc.collect()
    before = large_tensors()
    working = dpo(Checkpoint("base", str(tiny_model), None, 0, "", ""), tmp_path / "out")
    next(working)
    monkeypatch.setattr("torch.nn.functional.logsigmoid", fail)
    with pytest.raises(ValueError, match="in the middle of a step"):
        list(working)
    left = large_tensors()
    assert [left[name] for name in left.keys() - before.keys()] == []
