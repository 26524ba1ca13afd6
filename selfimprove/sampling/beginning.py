"""What precedes an output: which prompt it has, and how far its thinking has begun."""

from __future__ import annotations

from typing import Any

from selfimprove.records import Request
from selfimprove.thinking.traces import parse

OPENING = 16
"""Tokens at the end of a prompt among which a begin delimiter is looked for."""


def prompt_key(request: Request) -> tuple[tuple[str, str], ...]:
    """Samples of one problem share their prompt, which is then tokenized once."""
    return tuple((message["role"], message["content"]) for message in request.messages)


def beginning(tokenizer: Any, prompt: list[int], request: Request) -> tuple[bool, str]:
    """Whether what is sampled starts inside the thinking, and what stands before it there.

    The template has opened the thinking, or the request's prefix has and does not end it. What stands before is the thinking of the prefix, or
    its text where it has opened none; nothing where it has ended it.
    """
    opened = tokenizer.decode(prompt[-OPENING:]).rstrip().endswith(request.delimiters.begin)
    parts = parse(tokenizer.decode(request.prefix, clean_up_tokenization_spaces=False) if request.prefix else "", request.delimiters, opened)
    if parts.thinking is None:
        return False, parts.before
    return (False, "") if parts.closing else (True, parts.thinking)
