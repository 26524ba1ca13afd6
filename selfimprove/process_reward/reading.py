"""Tokenizes traces for a process reward model: the one place where thoughts become tokens, in training and in scoring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from selfimprove.errors import UserError
from selfimprove.records import Message
from selfimprove.training.rows import tokenize_prompt


def read(tokenizer: Any, messages: tuple[Message, ...], begin: str, thoughts: Sequence[str]) -> tuple[list[int], list[int]]:
    """The token ids of prompt, begin delimiter and thoughts, and the position of each thought's last token.

    Each thought is tokenized separately, so that it always ends at the end of a token, whatever follows. The delimiter is left out if the chat
    template has already opened the thinking.

    Raises:
        UserError: a thought has no token.
    """
    ids = tokenize_prompt(tokenizer, messages)
    if not str(tokenizer.decode(ids)).rstrip().endswith(begin):
        ids += tokenizer(begin, add_special_tokens=False)["input_ids"]
    ends = []
    for thought in thoughts:
        own = tokenizer(thought, add_special_tokens=False)["input_ids"]
        if not own:
            raise UserError(f"a thought of the question {messages[-1]['content'][:60]!r} is empty and cannot be scored: leave it out")
        ids += own
        ends.append(len(ids) - 1)
    return ids, ends
