"""The tokens of an empty block of thinking: as a budget of 0 thinking tokens writes them, and as a chat template's switch does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from selfimprove.checkpoints.bare_prompt import CHAT, bare_prompt, chat_tokenizer
from selfimprove.checkpoints.tokens import decoder, encoder
from selfimprove.errors import UserError
from selfimprove.records.delimiters import Delimiters

SWITCH = "enable_thinking"
"""The variable of chat templates that switches thinking, Qwen3's and others'."""


@dataclass(frozen=True)
class EmptyBlock:
    """What stands between a prompt and an answer without thinking."""

    text: str
    token_ids: tuple[int, ...]


def forced_block(model: Path | str, delimiters: Delimiters, opened: bool) -> EmptyBlock:
    """What `Budget(max_tokens=0)` and `selfimprove ask --no-think` write; where the prompt has opened the thinking, its end alone.

    Raises:
        UserError: The model has no readable `tokenizer.json`.
    """
    encode = encoder(model)
    if encode is None:
        raise UserError(f"{model} has no readable tokenizer.json, which tells the tokens of an empty block of thinking; set direct_share=0")
    parts = (delimiters.end,) if opened else (delimiters.begin, delimiters.end)
    return EmptyBlock("".join(parts), tuple(token for part in parts for token in encode(part)))


def switched_block(model: Path | str) -> EmptyBlock | None:
    """What the chat template adds to the prompt for `enable_thinking=False`; None if it adds nothing, or changes the prompt elsewhere too."""
    tokenizer, decode = chat_tokenizer(model), decoder(model)
    if tokenizer is None or decode is None:
        return None
    on, off = (list(tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False, **more)) for more in ({}, {SWITCH: False}))
    added = tuple(off[len(on) :])
    return EmptyBlock(decode(added), added) if added and off[: len(on)] == on else None


def require_switchable(model: Path | str, delimiters: Delimiters) -> None:
    """Refuse a model that cannot learn to answer with and without thinking.

    Raises:
        UserError: Its tokenizer cannot be read, or its chat template ends the thinking in every prompt.
    """
    forced_block(model, delimiters, opened=False)
    if bare_prompt(model).endswith(delimiters.end):
        told = f"direct_share needs a model that thinks, but its chat template ends every prompt with {delimiters.end}"
        raise UserError(f"{told}; leave {SWITCH} out of chat_template, or set direct_share=0")
