"""Models whose folders are trouble: in several files, in two formats, without a head, with weights missing, with tokens that were never trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfimprove import UserError
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import TOKENIZER_FILES, describe_folder, tied_head_is_missing
from selfimprove.checkpoints.soundness import load_tokenizer
from selfimprove.checkpoints.students import drop_layers, size
from selfimprove.checkpoints.unseen_tokens import never_seen, unseen_turn_tokens
from selfimprove.checkpoints.weights import weight_files
from selfimprove.sampling.engine_options import engine_context

TOKENS = 354
"""Of the tokenizer; the model has 512 rows."""
EMBEDDINGS = "model.embed_tokens.weight"


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(tiny_model, tmp_path / "model")


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def with_weights(folder: Path, change: Callable[[dict[str, Any]], object], file: str = "model.safetensors", **config: Any) -> Path:
    from safetensors.torch import save_file

    change(weights := weights_of(folder))
    save_file(weights, folder / file, metadata={"format": "pt"})
    known = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(known | config))
    return folder


def sharded(model: Path, folder: Path) -> Path:
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(model).save_pretrained(folder, max_shard_size="100KB")
    for file in filter(Path.is_file, (model / name for name in TOKENIZER_FILES)):
        shutil.copyfile(file, folder / file.name)
    return folder


def test_a_model_in_several_files_is_read_whole(model: Path, tmp_path: Path) -> None:
    parts = sharded(model, tmp_path / "parts")
    assert len(weight_files(parts)) > 1
    resolved = resolve_model(str(parts), served=True)
    assert set(weights_of(resolved)) == set(weights_of(model)), "the tied head is written too"
    for folder, into in ((parts, "a"), (model, "b")):
        drop_layers(folder, 2, tmp_path / into)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    weight_files(parts)[-1].unlink()
    with pytest.raises(UserError, match=r"model-0000\d-of-0000\d\.safetensors is missing, but model\.safetensors\.index\.json names it"):
        resolve_model(str(parts), served=True)


@pytest.mark.parametrize("several", [False, True])
def test_a_copy_in_another_format_is_left_out(several: bool, model: Path, tmp_path: Path) -> None:
    folder = sharded(model, tmp_path / "parts") if several else model
    before = size(folder)
    shutil.copyfile(model / "model.safetensors", folder / "consolidated.safetensors")
    (folder / "params.json").write_text("{}")
    resolved = resolve_model(str(folder), served=True)
    assert not any((resolved / name).exists() for name in ("consolidated.safetensors", "params.json"))
    assert size(resolved)[0] == 2 and size(folder) == before
    assert resolve_model(str(resolved), served=True) == resolved
    for file in weight_files(folder):
        file.unlink()
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    with pytest.raises(UserError, match="has no weights"):
        resolve_model(str(folder))


def test_shards_beside_a_whole_model_are_left_out(model: Path, tmp_path: Path) -> None:
    for file in sharded(model, tmp_path / "parts").glob("*.safetensors*"):
        shutil.copyfile(file, model / file.name)
    resolved = resolve_model(str(model), served=True)
    assert {file.name for file in resolved.glob("*.safetensors*")} == {"model.safetensors"}
    assert describe_folder(resolved, "base").weights_hash


def without(*names: str) -> Callable[[dict[str, Any]], object]:
    return lambda weights: [weights.pop(name) for name in names]


@pytest.mark.parametrize(
    ("change", "config", "line"),
    [
        (without("lm_head.weight"), {"tie_word_embeddings": False}, r"lacks lm_head\.weight, which its config\.json says it has"),
        (without("model.norm.weight", "model.layers.0.mlp.up_proj.weight"), {}, r"lacks model\.layers\.0\.mlp\.up_proj\.weight and 1 more weights"),
        (without(), {"intermediate_size": 256}, r"has the shape \(\d+, \d+\), and its config\.json says \(\d+, \d+\)"),
        (without(), {"num_hidden_layers": 3}, r"lacks model\.layers\.2\..* and \d more weights"),
    ],
)
def test_weights_that_are_missing_are_named(change: Callable[[dict[str, Any]], object], config: dict[str, Any], line: str, model: Path) -> None:
    with_weights(model, change, **config)
    with pytest.raises(UserError, match=line):
        resolve_model(str(model), served=True)


def test_a_head_of_its_own_is_kept(model: Path) -> None:
    with_weights(model, lambda weights: weights.update({"lm_head.weight": weights["lm_head.weight"] * 2}), tie_word_embeddings=False)
    assert resolve_model(str(model), served=True) == model


@pytest.mark.parametrize(("kind", "tied"), [("gemma2", True), ("llama", False), ("no-such-kind", False), (None, False)])
def test_a_kind_of_model_says_whether_its_head_is_tied_where_the_configuration_does_not(kind: str | None, tied: bool, model: Path) -> None:
    with_weights(model, without("lm_head.weight"))
    (model / "config.json").write_text(json.dumps({"model_type": kind}))
    assert tied_head_is_missing(model) is tied


def test_a_context_that_only_the_text_model_states_is_used(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    text = {"max_position_embeddings": config.pop("max_position_embeddings")}
    (model / "config.json").write_text(json.dumps(config | {"text_config": text}))
    assert engine_context(model, {}) == 512


def copied(source: int, *targets: int) -> Callable[[dict[str, Any]], object]:
    def change(weights: dict[str, Any]) -> None:
        for target in targets:
            weights[EMBEDDINGS][target] = weights[EMBEDDINGS][source]

    return change


def scaled(rows: list[int], factor: float, spare: int = 512) -> Callable[[dict[str, Any]], object]:
    def change(weights: dict[str, Any]) -> None:
        weights[EMBEDDINGS][[*rows, *range(spare, 512)]] *= factor

    return change


@pytest.mark.parametrize(
    ("change", "unseen"),
    [
        (without(), []),
        (copied(1, 2), ["<|im_end|>"]),
        (copied(0, 2), ["<|im_end|>"]),
        (scaled([2], 0.0), ["<|im_end|>"]),
        (scaled([2], 0.4, TOKENS), ["<|im_end|>"]),
        (scaled([], 0.4, TOKENS), []),
    ],
    ids=["all alike", "the same as another", "the same as the padding", "zero", "as rows of no token", "seen, beside rows of no token"],
)
def test_tokens_of_the_template_that_were_never_trained_are_named(change: Callable[[dict[str, Any]], object], unseen: list[str], model: Path) -> None:
    assert len(load_tokenizer(model)) == TOKENS
    with_weights(model, change)
    assert unseen_turn_tokens(model) == unseen


def test_advice_about_unseen_tokens_follows_the_trainer() -> None:
    assert "adapter" in never_seen(["<|im_end|>"], lora=True) and "adapter" not in never_seen(["<|im_end|>"])
