"""Turns an accepted trace into the token ids that training shows: the one place where rows are tokenized."""

from __future__ import annotations

from typing import Any

from selfimprove.records import AcceptedTrace


def tokenize_row(tokenizer: Any, row: AcceptedTrace) -> tuple[list[int], list[int]]:
    """Prompt ids and completion ids of a row; the loss is taken on the completion alone.

    The prompt is what the sampler is given for the same messages: the chat template with the generation prompt. The completion is tokenized by
    itself, as a model writes it after that prompt, and ends with the token that ends a turn and nothing after it.
    """
    prompt = tokenizer.apply_chat_template(list(row.messages), add_generation_prompt=True, return_dict=False)
    completion = tokenizer(row.completion, add_special_tokens=False)["input_ids"]
    return list(prompt), [*completion, end_of_turn(tokenizer)]


def end_of_turn(tokenizer: Any) -> int:
    """The token that the chat template writes after an assistant's turn, such as `<|im_end|>`; the end of sequence where it writes none."""
    answer = "4711"
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]
    after = tokenizer.apply_chat_template(chat, tokenize=False).rpartition(answer)[2]
    ids = tokenizer(after, add_special_tokens=False)["input_ids"]
    return next((token for token in ids if token in tokenizer.added_tokens_decoder), int(tokenizer.eos_token_id))
