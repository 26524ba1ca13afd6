"""The line of `check` about the memory of training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.random_models import QWEN
from selfimprove import SFT
from selfimprove.commands.training_room import training_room
from selfimprove.errors import UserError

GB = 10**9


def folder(place: Path, size: str) -> Path:
    (place / "config.json").write_text(json.dumps(QWEN[size].model_dump(exclude_none=True)))
    return place


def test_a_training_that_fits_is_told_with_the_memory_it_needs(tmp_path: Path) -> None:
    passed, told = training_room(SFT(batch_size=8, max_length=2048), folder(tmp_path, "0.5B"), 80 * GB)
    assert passed and told.startswith("training needs about ") and "with 16,384 tokens at once" in told and told.endswith("this GPU has 75")


def test_without_a_gpu_it_is_told_and_passes(tmp_path: Path) -> None:
    passed, told = training_room(SFT(), folder(tmp_path, "72B"), None)
    assert passed and told.endswith("tokens at once; there is no GPU here")


def test_too_many_tokens_are_found_with_the_setting_that_lowers_them(tmp_path: Path) -> None:
    small = SFT(batch_size=64, max_length=8000, engine="small")
    passed, told = training_room(small, folder(tmp_path, "1.5B"), 80 * GB)
    assert not passed and told.endswith("this GPU has 75: lower trainer.batch_size or trainer.max_length")
    passed, told = training_room(SFT(batch_size=64, max_length=8000, tokens_per_device=512_000), tmp_path, 80 * GB)
    assert not passed and told.endswith("this GPU has 75: lower trainer.tokens_per_device or trainer.max_length")
    passed, told = training_room(SFT(batch_size=64, max_length=8000), tmp_path, 80 * GB)
    assert passed and "with 16,384 tokens at once" in told


def test_activations_are_computed_again_where_they_do_not_fit_otherwise(tmp_path: Path) -> None:
    for device, again in ((141, False), (80, True)):
        passed, told = training_room(SFT(max_length=8000), folder(tmp_path, "1.5B"), device * GB)
        assert passed and ("activations computed again" in told) is again
    passed, told = training_room(SFT(max_length=8000, gpus=8), folder(tmp_path, "14B"), 80 * GB)
    assert passed and "on each of 8 GPUs" in told


@pytest.mark.parametrize(("lora", "advice"), [(None, "set trainer.lora, or take a smaller"), ({"r": 16}, "fit: take a smaller")])
def test_weights_that_do_not_fit_are_found(tmp_path: Path, lora: dict[str, int] | None, advice: str) -> None:
    passed, told = training_room(SFT(lora=lora), folder(tmp_path, "72B"), 80 * GB)
    assert not passed and "the weights alone do not fit" in told and advice in told


def test_a_shape_that_is_not_told_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"skill": 0.2}')
    assert training_room(SFT(), tmp_path, GB) == (True, "config.json does not tell the shape of the model, so the memory of training is not known")
    (tmp_path / "config.json").write_text('{"hidden_size": "wide"}')
    with pytest.raises(UserError, match="hidden_size"):
        training_room(SFT(), tmp_path, GB)
