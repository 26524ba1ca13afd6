"""Turns an accepted trace into the token ids that training shows: the one place where rows are tokenized."""

from __future__ import annotations

from typing import Any

from selfimprove.records import AcceptedTrace, Message


def tokenize_row(tokenizer: Any, row: AcceptedTrace) -> tuple[list[int], list[int]]:
    """Prompt ids and completion ids of a row; the loss is taken on the completion alone.

    The prompt is what the sampler is given for the same messages: the chat template with the generation prompt. The completion is what the model
    wrote, token for token, where the row holds its ids: tokenizing its text anew can give others. Else the text is tokenized by itself, as a
    model writes it after that prompt. It ends with the token that ends a turn and nothing after it.
    """
    completion = list(row.completion_token_ids or tokenizer(row.completion, add_special_tokens=False)["input_ids"])
    end = end_of_turn(tokenizer)
    return tokenize_prompt(tokenizer, row.messages), completion if completion[-1:] == [end] else [*completion, end]


def tokenize_prompt(tokenizer: Any, messages: tuple[Message, ...]) -> list[int]:
    """The chat up to where the model's turn begins."""
    return list(tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False))


def end_of_turn(tokenizer: Any) -> int:
    """The token that the chat template writes after an assistant's turn, such as `<|im_end|>`; the end of sequence where it writes none."""
    answer = "4711"
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]
    after = tokenizer.apply_chat_template(chat, tokenize=False).rpartition(answer)[2]
    ids = tokenizer(after, add_special_tokens=False)["input_ids"]
    return next((token for token in ids if token in tokenizer.added_tokens_decoder), int(tokenizer.eos_token_id))
