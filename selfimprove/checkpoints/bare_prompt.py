"""How a model's chat template ends the prompt of a question: some open the thinking there, as DeepSeek-R1's does, and some end it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfimprove.checkpoints.soundness import encode_chats, load_tokenizer
from selfimprove.records.delimiters import Delimiters
from selfimprove.records.foreign_text import read_object

CHAT = [{"role": "user", "content": "1 + 1 ="}]


def chat_tokenizer(model: Path | str) -> Any:
    """The tokenizer of a model of transformers that has a chat template; None for another.

    Raises:
        UserError: transformers does not read the tokenizer.
    """
    folder = Path(model)
    if "model_type" not in read_object(folder / "config.json"):
        return None
    tokenizer = load_tokenizer(folder)
    return tokenizer if tokenizer.chat_template else None


def bare_prompt(model: Path | str) -> str:
    """The prompt of a short question, without white space at its end; empty where there is no chat template.

    Raises:
        UserError: transformers does not read the tokenizer, or the template has an error.
    """
    tokenizer = chat_tokenizer(model)
    return "" if tokenizer is None else str(tokenizer.decode(encode_chats(tokenizer, [CHAT])[0])).rstrip()


def opens_thinking(model: Path | str, delimiters: Delimiters) -> bool:
    """Whether every prompt ends with the begin delimiter, so that an answer without thinking has to close it first; errors as `bare_prompt`."""
    return bare_prompt(model).endswith(delimiters.begin)
