"""Which files of a model folder hold its weights, and what they lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

from selfimprove.errors import UserError
from selfimprove.records.foreign_text import read_object

INDEX = "model.safetensors.index.json"
OTHER_FORMAT = ("consolidated*.safetensors", "consolidated*.json", "params.json")
"""The same model in Mistral's own format. vLLM prefers it, and the checkpoints of a run do not have it."""


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers loads: `model.safetensors`, else what the index names, else all that are not in another format."""
    if (single := folder / "model.safetensors").is_file():
        return [single]
    if (index := folder / INDEX).is_file():
        return sorted(folder / name for name in set(read_object(index).get("weight_map", {}).values()))
    return sorted(set(folder.glob("*.safetensors")) - set(folder.glob(OTHER_FORMAT[0])))


def stray_files(folder: Path) -> list[Path]:
    """Files from which vLLM would load other weights, or another configuration, than transformers does."""
    ours = weight_files(folder)
    stray = set(folder.glob("*.safetensors")) - set(ours)
    if not any(stray):
        return []
    stray |= {file for pattern in OTHER_FORMAT for file in folder.glob(pattern)}
    return sorted(stray | ({folder / INDEX} if [file.name for file in ours] == ["model.safetensors"] else set()))


def tensor_names(folder: Path) -> list[str]:
    """The names of all weights."""
    return [name for file in weight_files(folder) for name, _ in _shapes(file)]


def numbers(folder: Path) -> int:
    """How many numbers the weights are, a head that is tied to the embeddings included where it is written."""
    return sum(prod(shape) for file in weight_files(folder) for _, shape in _shapes(file))


def require_complete(folder: Path) -> None:
    """Refuse a model that lacks weights, such as a head of its own: vLLM would fill them with whatever its memory holds. Reads no weights.

    Quantized models, and kinds of models that transformers does not know, are not looked at.

    Raises:
        UserError: names what is missing.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if getattr(config, "quantization_config", None) is not None:
        return
    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with torch.device("meta"):
            kind = type(AutoModelForCausalLM.from_config(config))
        weights = {name: torch.empty(shape, device="meta") for file in weight_files(folder) for name, shape in _shapes(file)}
        _, found = kind.from_pretrained(
            None, config=config, state_dict=weights, device_map="meta", output_loading_info=True, ignore_mismatched_sizes=True
        )
    except Exception:  # Models raise errors of every kind; those that matter come again, from vLLM.
        return
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()
    if missing := sorted(found["missing_keys"]):
        raise UserError(f"{folder} lacks {_some(missing)}, which its config.json says it has; copy or download the model again")
    if other := sorted(found["mismatched_keys"]):
        name, theirs, ours = other[0]
        raise UserError(f"{folder}: {name} has the shape {tuple(theirs)}, and its config.json says {tuple(ours)}; copy or download the model again")


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more weights"


def _shapes(file: Path) -> Iterator[tuple[str, list[int]]]:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as tensors:
        for name in tensors.keys():  # noqa: SIM118
            yield name, tensors.get_slice(name).get_shape()


def rows_of(folder: Path, name: str, numbers: Sequence[int]) -> Any:
    """Those of these rows of a matrix that it has, as a tensor in float32; the rest is not read.

    Raises:
        KeyError: there is no such matrix.
    """
    import torch
    from safetensors import safe_open

    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            if name in tensors.keys():  # noqa: SIM118
                matrix = tensors.get_slice(name)
                rows, width = matrix.get_shape()
                found = [matrix[number : number + 1] for number in numbers if number < rows]
                return torch.cat(found).float() if found else torch.empty(0, width)
    raise KeyError(name)
