"""A model folder with a damaged file is refused by the file's name, before anything is started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from toy import make_toy_model

from selfimprove import UserError
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str, size: int) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / name, size)


def piped(name: str) -> Callable[[Path], object]:
    def harm(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return harm


INDEX = "model.safetensors.index.json"
HARMS: list[tuple[Callable[[Path], object], str]] = [
    *((written(name, b""), f"{name} is empty") for name in ("config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json")),
    *((written(name, b"[]"), f"{name} holds a list") for name in ("config.json", "tokenizer.json", "generation_config.json", "vocab.json")),
    *((written(name, b'{"a": '), f"{name} is not valid JSON") for name in ("config.json", "tokenizer.json", "special_tokens_map.json")),
    *((written(name, b"\xff\xfe\x00"), f"{name} is not UTF-8") for name in ("config.json", "tokenizer.json", "added_tokens.json")),
    (written("config.json", b"[" * 100_000), "config.json is not valid JSON"),
    (written("config.json", b'{"a": ' * 900 + b"1" + b"}" * 900), "config.json is not valid JSON: it is nested more than 64 levels deep"),
    (written("generation_config.json", b'{"temperature": "hot"}'), "generation_config.json: temperature: Input should be a valid number"),
    (written("generation_config.json", b'{"eos_token_id": true}'), "generation_config.json: eos_token_id: Input should be a valid integer"),
    (written("generation_config.json", b'{"top_p": Infinity}'), "generation_config.json: top_p: Input should be a finite number"),
    (written("config.json", b'{"text_config": [1]}'), "config.json: text_config is not a JSON object"),
    (piped("generation_config.json"), "generation_config.json cannot be read: is a pipe, not a file"),
    (cut("model.safetensors", 0), "model.safetensors cannot be read: it is empty"),
    (cut("model.safetensors", 7), "model.safetensors cannot be read: it is truncated or damaged"),
    (cut("model.safetensors", 70), "model.safetensors cannot be read: it is truncated or damaged"),
    (written("model.safetensors", b"\xff" * 64), "model.safetensors cannot be read: it is truncated or damaged"),
    (written("model.safetensors", b"\x02" + b"\0" * 7 + b"{}"), "model.safetensors holds no tensor"),
    (piped("more.safetensors"), "more.safetensors is not a file"),
    (written(INDEX, b'{"weight_map": {"a": "model-2.safetensors"}}'), "model-2.safetensors is missing, but model.safetensors.index.json names it"),
    (written(INDEX, b'{"weight_map": [1]}'), "has no weight_map of file names"),
    (written(INDEX, b"{}"), "has no weight_map of file names"),
]


@pytest.mark.parametrize(("harm", "line"), HARMS, ids=range(len(HARMS)))
def test_a_damaged_file_is_named(harm: Callable[[Path], object], line: str, tmp_path: Path) -> None:
    model = make_toy_model(tmp_path / "model", 0.2)
    describe_folder(resolve_model(str(model)), "base")
    harm(model)
    for use in (lambda: resolve_model(str(model)), lambda: describe_folder(model, "base")):
        with pytest.raises(UserError, match="model/") as caught:
            use()
        assert line in str(caught.value) and "\n" not in str(caught.value)


ODD = [
    ("config.json", b'{"model_type": "no-such-model"}'),
    ("config.json", b'{"model_type": 7}'),
    ("config.json", b'{"model_type": "llama", "hidden_size": "wide"}'),
    ("config.json", b'{"model_type": "llama", "num_hidden_layers": true}'),
    ("tokenizer.json", b"{}"),
    ("tokenizer.json", b'{"model": {"type": "BPE", "vocab": [], "merges": 3}}'),
    ("chat_template.jinja", b"{% for message in %}"),
]


@pytest.mark.slow
def test_a_file_that_transformers_does_not_read_is_named(tiny_model: Path, tmp_path: Path) -> None:
    for number, (name, content) in enumerate(ODD):
        model = shutil.copytree(tiny_model, tmp_path / f"model-{number}")
        (model / name).write_bytes(content)
        with pytest.raises(UserError, match=r"cannot be used|is not valid JSON") as caught:
            resolve_model(str(model), served=True)
        assert str(model) in str(caught.value) and "\n" not in str(caught.value), (name, content)


@pytest.mark.slow
def test_a_model_for_vllm_needs_a_known_type(tiny_model: Path, tmp_path: Path) -> None:
    toy = make_toy_model(tmp_path / "toy", 0.2)
    resolve_model(str(toy))
    with pytest.raises(UserError, match=r"toy/config.json cannot be used: .*model_type"):
        resolve_model(str(toy), served=True)
    resolve_model(str(tiny_model), served=True)
