"""Turns accepted traces into token ids: the one place where rows are tokenized."""

from __future__ import annotations

from typing import Any

from selfimprove.checkpoints.chat_form import end_of_turn
from selfimprove.records import AcceptedTrace, Message


def tokenize_row(tokenizer: Any, row: AcceptedTrace) -> tuple[list[int], list[int]]:
    """Prompt ids and completion ids of a row; the loss is taken on the completion alone.

    The prompt is what the sampler gets for the same messages: the chat template with the generation prompt. If the row has token ids, the completion
    is exactly those, because tokenizing its text again can give others; else its text is tokenized separately from the prompt, as a model writes it.
    It ends with the end-of-turn token.
    """
    completion = list(row.completion_token_ids or tokenizer(row.completion, add_special_tokens=False)["input_ids"])
    end = end_of_turn(tokenizer)
    return tokenize_prompt(tokenizer, row.messages), completion if completion[-1:] == [end] else [*completion, end]


def tokenize_prompt(tokenizer: Any, messages: tuple[Message, ...]) -> list[int]:
    """Token ids of the chat up to the beginning of the model's turn."""
    return list(tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False))
