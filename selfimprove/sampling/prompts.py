"""The prompt of a request, and whether the thinking has begun in it."""

from __future__ import annotations

from typing import Any

from selfimprove.records import Request
from selfimprove.thinking.traces import parse

OPENING = 16
"""Tokens at the end of a prompt that are searched for a begin delimiter."""


def prompt_key(request: Request) -> tuple[tuple[str, str], ...]:
    """Equal for requests with the same prompt, which is then tokenized once."""
    return tuple((message["role"], message["content"]) for message in request.messages)


def thinking_begun(tokenizer: Any, prompt: list[int], request: Request) -> tuple[bool, str]:
    """Whether the output starts inside the thinking, and the thinking so far.

    It starts inside where the template, or the request's prefix, opens the thinking and the prefix does not close it. Where nothing opens it, the
    second value is the text of the prefix; where the prefix closes it, it is empty.
    """
    opened = tokenizer.decode(prompt[-OPENING:]).rstrip().endswith(request.delimiters.begin)
    parts = parse(tokenizer.decode(request.prefix, clean_up_tokenization_spaces=False) if request.prefix else "", request.delimiters, opened)
    if parts.thinking is None:
        return False, parts.before
    return (False, "") if parts.closing else (True, parts.thinking)
