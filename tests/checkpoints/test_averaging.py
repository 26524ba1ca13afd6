"""Averages of weights: exact at both ends, the same in one file or many, and never half written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from drifting import nudged
from safetensors.torch import load_file, save_file

from selfimprove import UserError
from selfimprove.checkpoints import averaging
from selfimprove.checkpoints.averaging import average_weights
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.checkpoints.weights import INDEX, weight_files

HEAD, EMBEDDINGS = "lm_head.weight", "model.embed_tokens.weight"


def weights(folder: Path) -> dict[str, Any]:
    return {name: tensor for file in weight_files(folder) for name, tensor in load_file(file).items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one)


def rewritten(model: Path, folder: Path, change: Any, files: int = 1) -> Path:
    """A copy of the model with other weights, in so many files with an index."""
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    changed = change(weights(model))
    if files == 1:
        save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    shards = {f"model-{number + 1:05d}-of-{files:05d}.safetensors": sorted(changed)[number::files] for number in range(files)}
    for file, names in shards.items():
        save_file({name: changed[name] for name in names}, folder / file, metadata={"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": {name: file for file, names in shards.items() for name in names}}))
    return folder


@pytest.fixture
def trained(tiny_model: Path, tmp_path: Path) -> Path:
    return nudged(tiny_model, tmp_path / "trained", by=0.05)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_average_lies_between_the_two_and_is_exact_at_both_ends(tiny_model: Path, trained: Path, tmp_path: Path, share: float) -> None:
    start, after = weights(tiny_model), weights(trained)
    assert average_weights(tiny_model, trained, share, tmp_path / "average") == len(after)
    found = weights(tmp_path / "average")
    assert same(found, {name: torch.lerp(after[name].float(), start[name].float(), share).to(torch.bfloat16) for name in after})
    assert same(found, start if share == 1 else after) == (share in (0, 1))
    assert torch.equal(found[HEAD], found[EMBEDDINGS])
    # Everything else is the trained model's, byte for byte; vLLM and transformers load it like that one.
    others = [file.name for file in trained.iterdir() if file.suffix != ".safetensors"]
    assert others and all((tmp_path / "average" / name).read_bytes() == (trained / name).read_bytes() for name in others)
    assert describe_folder(tmp_path / "average", "average").tokenizer_hash == describe_folder(trained, "trained").tokenizer_hash


def test_averaging_equal_weights_changes_no_bit(trained: Path, tmp_path: Path) -> None:
    average_weights(trained, trained, 0.3, tmp_path / "average")
    assert (tmp_path / "average/model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 5)])
def test_it_commutes_with_sharding(tiny_model: Path, trained: Path, tmp_path: Path, before: int, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    average_weights(tiny_model, trained, 0.4, tmp_path / "whole")
    one, other = (rewritten(folder, tmp_path / f"{files}", dict, files) for folder, files in ((tiny_model, before), (trained, after)))
    # Matrices are read in parts of a few rows.
    monkeypatch.setattr(averaging, "AT_ONCE", 500)
    average_weights(one, other, 0.4, tmp_path / "parts")
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))
    assert [file.name for file in weight_files(tmp_path / "parts")] == [file.name for file in weight_files(other)]
    assert (tmp_path / "parts" / INDEX).exists() == (after > 1)


def test_a_start_without_its_tied_head_in_another_type_and_whole_numbers(tiny_model: Path, trained: Path, tmp_path: Path) -> None:
    start = rewritten(tiny_model, tmp_path / "float32", lambda known: {name: one.float() for name, one in known.items() if name != HEAD})
    after = rewritten(trained, tmp_path / "counted", lambda known: {**known, "steps": torch.tensor(7), "scale": torch.tensor(1.5)})
    before = rewritten(start, tmp_path / "start", lambda known: {**known, "steps": torch.tensor(3), "scale": torch.tensor(0.5)})
    average_weights(before, after, 0.5, tmp_path / "average")
    average_weights(tiny_model, trained, 0.5, tmp_path / "plain")
    assert same(weights(tmp_path / "average"), {**weights(tmp_path / "plain"), "steps": torch.tensor(7), "scale": torch.tensor(1.0)})


def test_weights_that_cannot_be_averaged_leave_nothing(tiny_model: Path, trained: Path, tmp_path: Path) -> None:
    into = tmp_path / "average"
    more = rewritten(trained, tmp_path / "more", lambda known: {**known, "adapter.weight": torch.ones(3)})
    with pytest.raises(UserError, match=r"has no weight adapter\.weight, which training gave the candidate.*set average=None"):
        average_weights(tiny_model, more, 0.5, into)
    other = rewritten(tiny_model, tmp_path / "other", lambda known: {**known, "model.norm.weight": torch.ones(3)})
    with pytest.raises(UserError, match=r"model\.norm\.weight has the shape \(3,\), and the candidate's \(64,\)"):
        average_weights(other, trained, 0.5, into)
    assert not into.exists() and not list(tmp_path.glob(".*"))
