"""Whether a model's chat template opens the thinking at the end of every prompt, as DeepSeek-R1's does."""

from __future__ import annotations

from pathlib import Path

from selfimprove.checkpoints.soundness import encode_chats, load_tokenizer
from selfimprove.records.delimiters import Delimiters
from selfimprove.records.foreign_text import read_object


def opens_thinking(model: Path, delimiters: Delimiters) -> bool:
    """Whether an answer without thinking has to close it first. False for what is no model of transformers, or has no chat template.

    Raises:
        UserError: transformers does not read the tokenizer, or the template has an error.
    """
    if "model_type" not in read_object(model / "config.json"):
        return False
    tokenizer = load_tokenizer(model)
    if not tokenizer.chat_template:
        return False
    prompt: str = tokenizer.decode(encode_chats(tokenizer, [[{"role": "user", "content": "1 + 1 ="}]])[0])
    return prompt.rstrip().endswith(delimiters.begin)
