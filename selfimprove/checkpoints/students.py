"""Makes a smaller model from a larger one by dropping layers."""

from __future__ import annotations

import json
import re
import shutil
from math import prod
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.folders import TOKENIZER_FILES, require_model
from selfimprove.checkpoints.saving import complete_folder
from selfimprove.checkpoints.weights import weight_files
from selfimprove.errors import UserError

LAYER = re.compile(r"^model\.layers\.(\d+)\.")


def drop_layers(model: Path, layers: int, into: Path) -> Path:
    """Write the model in the folder `model` into `into` with only `layers` of its layers.

    An existing folder is replaced. The same call writes the same bytes.

    The kept layers are evenly spaced, include the first and the last, and keep their order and weights. Embeddings, head, tokenizer and chat template
    do not change. The smaller model performs badly until it is trained: Sajjad et al. 2023, "On the effect of dropping layers of pre-trained
    transformer models", among others.

    Returns:
        `into`.

    Raises:
        UserError: the folder holds no model, its layers are not named `model.layers.N`, or the model cannot have this number of layers.
        OSError: the folder cannot be written; nothing is left of it.
    """
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig

    require_model(model)
    tensors: dict[str, Any] = {}
    for file in weight_files(model):
        tensors |= load_file(file)
    config = AutoConfig.from_pretrained(model, local_files_only=True)
    depth = getattr(config, "num_hidden_layers", 0)
    if {int(found[1]) for name in tensors if (found := LAYER.match(name))} != set(range(depth)):
        raise UserError(f"cannot drop layers of {model}: its weights are not named model.layers.0, …; take a model such as Llama, Qwen or SmolLM")
    if not min(2, depth) <= layers <= depth:
        raise UserError(f"a student of {model} cannot have {layers} layers: give {min(2, depth)} to {depth}")

    kept = spread(depth, layers)
    places = {number: place for place, number in enumerate(kept)}
    state = {}
    for name, tensor in tensors.items():
        found = LAYER.match(name)
        if found is None:
            state[name] = tensor
        elif int(found[1]) in places:
            state[LAYER.sub(f"model.layers.{places[int(found[1])]}.", name)] = tensor
    if config.tie_word_embeddings and "lm_head.weight" not in state:
        # An engine that reloads weights in place would keep the old head.
        state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    with complete_folder(into) as half:
        config.update({**_of_each_layer(config.to_dict(), kept, depth), "num_hidden_layers": layers})
        config.save_pretrained(half)
        save_file(state, half / "model.safetensors", metadata={"format": "pt"})
        for known in filter(Path.is_file, (model / name for name in (*TOKENIZER_FILES, "generation_config.json"))):
            shutil.copyfile(known, half / known.name)
    return into


def _of_each_layer(config: dict[str, Any], kept: list[int], depth: int) -> dict[str, Any]:
    """The lists of a configuration with one entry per layer, such as `layer_types`, for the kept layers."""
    lists = {key: value for key, value in config.items() if "layer" in key and isinstance(value, list) and len(value) == depth}
    return {key: [value[number] for number in kept] for key, value in lists.items()}


def spread(depth: int, layers: int) -> list[int]:
    """The numbers of the kept layers, from 0: evenly spaced, the first and the last included."""
    return [round(n * (depth - 1) / max(1, layers - 1)) for n in range(layers)]


def size(model: Path) -> tuple[int, int]:
    """Numbers of layers and of parameters of a model. A head that is tied to the embeddings is not counted again."""
    from safetensors import safe_open

    config, parameters = json.loads((model / "config.json").read_text()), 0
    for file in weight_files(model):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                if not (name == "lm_head.weight" and config.get("tie_word_embeddings")):
                    parameters += prod(tensors.get_slice(name).get_shape())
    return int(config.get("num_hidden_layers", 0)), parameters
