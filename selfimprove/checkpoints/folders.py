"""Describes model folders by hashes, and refuses folders that are not models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.hashes import signature
from selfimprove.checkpoints.soundness import require_sound
from selfimprove.checkpoints.weights import OTHER_FORMAT, tensor_names
from selfimprove.errors import UserError
from selfimprove.records import Checkpoint

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


def describe_folder(folder: Path, checkpoint_id: str, parent_id: str | None = None, generation: int = 0) -> Checkpoint:
    """The record of the model in `folder`.

    Raises:
        UserError: the folder is missing, lacks the configuration, safetensors weights or a tokenizer, or holds a damaged file.
    """
    require_model(folder)
    weights = sorted(folder.glob("*.safetensors"))
    tokenizer = [folder / name for name in TOKENIZER_FILES if (folder / name).exists()]
    return Checkpoint(
        id=checkpoint_id,
        path=str(folder.resolve()),
        parent_id=parent_id,
        generation=generation,
        weights_hash=_hash_files(weights),
        tokenizer_hash=_hash_files(tokenizer),
    )


def require_model(folder: Path) -> None:
    """Refuse a folder that cannot be loaded as a model with its tokenizer."""
    if not folder.is_dir():
        raise UserError(f"model folder {folder} does not exist; give a folder, a Hugging Face id, or smollm2-135m-instruct")
    if not (folder / "config.json").is_file():
        # A run folder, by the link that every run keeps to its champion.
        model = folder / "champion"
        instead = str(model) if (model / "config.json").is_file() else "the folder of a transformers model"
        raise UserError(f"model folder {folder} has no config.json: give {instead}")
    if all(file.match(OTHER_FORMAT[0]) for file in folder.glob("*.safetensors")):
        raise UserError(f"model folder {folder} has no weights: no *.safetensors in it (other weight formats are not read, for safety)")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        raise UserError(f"model folder {folder} has no tokenizer: save it there with tokenizer.save_pretrained")
    require_sound(folder)


def architecture(folder: Path) -> dict[str, Any]:
    """The configuration without what does not affect computation. If two folders agree, the weights of one fit a model loaded from the other."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return {key: value for key, value in config.items() if key not in ("_name_or_path", "dtype", "torch_dtype", "transformers_version", "use_cache")}


def tied_head_is_missing(folder: Path) -> bool:
    """Whether the weights leave out an output head that is tied to the embeddings.

    Reloading such weights into a running vLLM engine on the CPU silently leaves the old head in place.
    """
    config = json.loads((folder / "config.json").read_text())
    tied = config.get("tie_word_embeddings", config.get("text_config", {}).get("tie_word_embeddings"))
    if tied is None:
        tied = _tied_by_default(config.get("model_type"))
    return bool(tied) and not any(name.endswith("lm_head.weight") for name in tensor_names(folder))


def _tied_by_default(kind: str | None) -> bool:
    """Whether models of this kind tie their head where the configuration does not say, as Gemma does."""
    from transformers import AutoConfig

    try:
        return bool(AutoConfig.for_model(kind).get_text_config().tie_word_embeddings)
    except (ValueError, KeyError):
        return False


def _hash_files(files: Sequence[Path]) -> str:
    return _known(tuple(signature(file.resolve()) for file in files), tuple(file.name for file in files))


@lru_cache
def _known(files: tuple[tuple[str, int, int, int, int], ...], names: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for file, name in zip((Path(path) for path, *_ in files), names, strict=True):
        digest.update(name.encode())
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
