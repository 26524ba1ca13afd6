"""One training in several real processes."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import fails, no_room

from selfimprove.records import AcceptedTrace, Checkpoint, TrainingStep
from selfimprove.training.data_parallel import train_data_parallel, visible_devices
from selfimprove.training.sft import SFT
from selfimprove.training.world import World

pytestmark = pytest.mark.trl

# Thirteen rows in steps of four: the last step has one row, and the second process none of it.
ROWS = [
    AcceptedTrace(f"p{number}/g1/s0", f"p{number}", ({"role": "user", "content": f"{number} + 1 ="},), str(number + 1), "sampled", 1)
    for number in range(13)
]
TOGETHER = SFT(batch_size=4, learning_rate=3e-3, epochs=2, max_length=64, threads=1, processes=2)


def fit(folder: Path, into: Path, trainer: SFT) -> list[TrainingStep]:
    return list(trainer.open().train(Checkpoint("base", str(folder), None, 0, "", ""), ROWS, into, 0))


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_two_processes_train_the_same_model_as_one(tiny_model: Path, tmp_path: Path) -> None:
    alone = fit(tiny_model, tmp_path / "one", replace(TOGETHER, processes=1))
    together = fit(tiny_model, tmp_path / "two", TOGETHER)
    assert [(step.step, step.steps, step.tokens) for step in together] == [(step.step, step.steps, step.tokens) for step in alone]
    assert [step.learning_rate for step in together] == [step.learning_rate for step in alone]
    assert [step.loss for step in together] == pytest.approx([step.loss for step in alone], rel=0.01)
    ours, theirs, untrained = weights(tmp_path / "two"), weights(tmp_path / "one"), weights(tiny_model)
    assert ours.keys() == theirs.keys()
    apart = sum(float((ours[name].float() - theirs[name].float()).square().sum()) for name in ours) ** 0.5
    moved = sum(float((theirs[name].float() - untrained[name].float()).square().sum()) for name in untrained) ** 0.5
    assert apart < 0.1 * moved, "the gradients are bfloat16's, added up in another order"


def test_closing_early_ends_all_processes_and_nothing_is_saved(tiny_model: Path, tmp_path: Path) -> None:
    steps = replace(TOGETHER, epochs=200).open().train(Checkpoint("base", str(tiny_model), None, 0, "", ""), ROWS, tmp_path / "out", 0)
    assert next(steps).step == 1
    assert len(multiprocessing.active_children()) == 2
    steps.close()
    assert not multiprocessing.active_children() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("which", [0, 1])
def test_all_processes_end_if_one_fails(which: int) -> None:
    steps = train_data_parallel(partial(fails, which), 2)
    assert next(steps).step == 1
    with pytest.raises(torch.multiprocessing.ProcessRaisedException, match="this one fails"):
        next(steps)
    assert not multiprocessing.active_children()


def test_a_full_disk_raises_the_same_error_as_with_one_process() -> None:
    with pytest.raises(OSError, match="no space left"):
        list(train_data_parallel(no_room, 2))


def test_each_process_has_one_of_the_visible_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_devices(2) == ["0", "1"]
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "3,5,7")
    assert visible_devices(2) == ["3", "5"]


def test_the_rows_of_a_step_are_divided_and_none_is_left_out() -> None:
    rows = [{"input_ids": [place], "labels": [place]} for place in range(5)]
    shares = [World(rank, 3).own(rows) for rank in range(3)]
    assert sorted(row["labels"][0] for share in shares for row in share) == [0, 1, 2, 3, 4]
    assert World(2, 3).own(rows[:2]) == [{"input_ids": [0], "labels": [-100]}]


def test_the_optimizers_state_is_divided_evenly() -> None:
    sizes = [100, 7, 60, 40, 33, 60]
    owners = World(0, 3).owners([torch.zeros(size) for size in sizes])
    loads = [sum(size for size, owner in zip(sizes, owners, strict=True) if owner == rank) for rank in range(3)]
    assert loads == [100, 100, 100]
