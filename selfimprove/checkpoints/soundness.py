"""Refuses model folders with damaged files, before anything is started that would only stumble over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from selfimprove.errors import UserError
from selfimprove.records.foreign_text import read_object, read_text
from selfimprove.records.numbers import Int, NonNegativeFloat

T = TypeVar("T")

JSON_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "model.safetensors.index.json",
)
"""Files that hold a JSON object where a model has them."""
ADVICE = "copy or download the model again"


def require_sound(folder: Path) -> None:
    """Refuse a folder with a file that is empty, truncated, or not in its format. Reads the JSON files and the header of each weights file.

    Raises:
        UserError: names the file and what is wrong with it.
    """
    config: dict[str, Any] = {}
    if _is_there(template := folder / "chat_template.jinja"):
        _read(template, read_text)
    for file in filter(_is_there, (folder / name for name in JSON_FILES)):
        found = _read(file, read_object)
        if file.name == "config.json":
            config = found
        elif file.name == "generation_config.json":
            _require_generation(file, found)
        elif file.name == "model.safetensors.index.json":
            _require_shards(file, found)
    if not isinstance(config.get("text_config", {}), dict):
        raise UserError(f"{folder / 'config.json'}: text_config is not a JSON object; {ADVICE}")
    for file in folder.glob("*.safetensors"):
        _require_weights(file)


def require_loadable(folder: Path) -> None:
    """Refuse a folder whose configuration or tokenizer transformers does not read, and vLLM with it.

    Raises:
        UserError: names the file and what is wrong with it.
    """
    from transformers import AutoConfig, GenerationConfig

    _attempt(folder / "config.json", lambda: AutoConfig.from_pretrained(folder, local_files_only=True))
    if _is_there(folder / "generation_config.json"):
        _attempt(folder / "generation_config.json", lambda: GenerationConfig.from_pretrained(folder, local_files_only=True))
    load_tokenizer(folder)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model.

    Raises:
        UserError: transformers does not read it.
    """
    from transformers import AutoTokenizer

    return _attempt(folder / "tokenizer.json", lambda: AutoTokenizer.from_pretrained(folder, local_files_only=True))


def encode_chats(tokenizer: Any, chats: Sequence[Any]) -> Any:
    """The token ids of each chat, as the model's chat template writes it up to the model's answer.

    Raises:
        UserError: the template has an error, or does not take such a chat.
    """
    template = Path(tokenizer.name_or_path) / "chat_template.jinja"
    if not chats:
        return []
    advice = "correct the chat template, or save that of a relative with the tokenizer"
    return _attempt(template, lambda: tokenizer.apply_chat_template(list(chats), add_generation_prompt=True, return_dict=False), advice)


def _attempt(file: Path, load: Callable[[], Any], advice: str = ADVICE) -> Any:
    try:
        return load()
    except Exception as error:  # Each library raises its own types, the Rust ones a plain Exception.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        place = file if file.exists() else file.parent
        raise UserError(f"{place} cannot be used: {type(error).__name__}: {reason}; {advice}") from error


def _is_there(file: Path) -> bool:
    return file.exists() or file.is_symlink()


def _read(file: Path, how: Callable[[Path], T]) -> T:
    try:
        return how(file)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; {ADVICE}") from error
    except ValueError as error:
        raise UserError(f"{file} {error}; {ADVICE}") from error


class _Generation(BaseModel):
    """The entries of `generation_config.json` that an engine reads."""

    temperature: NonNegativeFloat | None = None
    top_p: NonNegativeFloat | None = None
    top_k: Int | None = None
    min_p: NonNegativeFloat | None = None
    repetition_penalty: NonNegativeFloat | None = None
    max_new_tokens: Int | None = None
    eos_token_id: Int | list[Int] | None = None
    bos_token_id: Int | list[Int] | None = None
    pad_token_id: Int | list[Int] | None = None


def _require_generation(file: Path, content: dict[str, Any]) -> None:
    try:
        _Generation.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{file}: {first['loc'][0]}: {first['msg']}; {ADVICE}") from error


def _require_shards(index: Path, content: dict[str, Any]) -> None:
    shards = content.get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise UserError(f"{index} has no weight_map of file names; {ADVICE}")
    missing = sorted(name for name in set(shards.values()) if "\0" in name or not (index.parent / name).is_file())
    if missing:
        raise UserError(f"{index.parent / missing[0]} is missing, but {index.name} names it; {ADVICE}")


def _require_weights(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise UserError(f"{file} is not a file; {ADVICE}")
    try:
        # Opening compares the length of the file with what its header announces.
        with safe_open(file, framework="numpy") as tensors:
            names = list(tensors.keys())
    except (SafetensorError, OSError) as error:
        reason = "it is empty" if file.stat().st_size == 0 else f"it is truncated or damaged ({error})"
        raise UserError(f"{file} cannot be read: {reason}; {ADVICE}") from error
    if not names:
        raise UserError(f"{file} holds no tensor; {ADVICE}")
