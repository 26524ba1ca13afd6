"""Weights written over those of a folder: the same bytes as in a new folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfimprove.checkpoints.saving import overwrite_weights, save_checkpoint


def load(folder: Path, tied: bool) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    return AutoModelForCausalLM.from_pretrained(folder, tie_word_embeddings=tied)


def change(model: Any) -> None:
    import torch

    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight))


@pytest.mark.trl
@pytest.mark.parametrize("tied", [True, False])
def test_overwritten_weights_are_those_of_a_new_folder(tiny_model: Path, tmp_path: Path, tied: bool) -> None:
    model, old, new = load(tiny_model, tied), tmp_path / "old", tmp_path / "new"
    save_checkpoint(model, tiny_model, old)
    before = (old / "model.safetensors").read_bytes()
    change(model)
    overwrite_weights(model, old)
    save_checkpoint(model, tiny_model, new)
    after = (old / "model.safetensors").read_bytes()
    assert after == (new / "model.safetensors").read_bytes() != before
    assert {file.name for file in old.iterdir()} == {file.name for file in new.iterdir()}


@pytest.mark.trl
def test_every_file_of_a_large_model_is_overwritten(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    change(model)
    overwrite_weights(model, tmp_path)
    written = AutoModelForCausalLM.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(weight, written[name]) for name, weight in model.state_dict().items())
