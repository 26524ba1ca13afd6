"""Train equals serve: the token ids of training are those of sampling, shown before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Message, Trace
from selfimprove.training.rows import end_of_turn, tokenize_prompt, tokenize_row

AROUND = 8
"""Tokens shown on each side of a difference."""


def require_agreement(model: Path, rows: Iterable[tuple[AcceptedTrace, Trace]], asked: Iterable[tuple[Sequence[Message], Trace]]) -> int:
    """Refuse to train on what was not sampled, or on prompts that are not served.

    Args:
        model: the folder whose tokenizer and chat template train.
        rows: rows with the traces that they were made of: the tokens that take a loss must be the output's, the end token included.
        asked: chats with traces sampled from them, in the form of the rows' prompts: the prompt's tokens must be those of the trace.

    Returns:
        How many rows and chats were compared.

    Raises:
        UserError: they differ; with both sequences around the first difference.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    end, compared = end_of_turn(tokenizer), 0
    for row, trace in rows:
        _, completion = tokenize_row(tokenizer, row)
        # A trace that its stop string or token ended may lack the token that training teaches as the end.
        written = list(trace.output_token_ids)
        _compare(tokenizer, f"completion of {row.trace_id}", completion, written if written[-1:] == [end] else [*written, end])
        if row.completion.strip() != tokenizer.decode(_without(written, end)).strip():
            raise UserError(f"row {row.trace_id}: its text is not what its tokens say; who rewrites a completion must leave out its token ids")
        compared += 1
    for messages, trace in asked:
        _compare(tokenizer, f"prompt of {trace.id}", tokenize_prompt(tokenizer, tuple(messages)), list(trace.prompt_token_ids))
        compared += 1
    return compared


def _without(ids: list[int], end: int) -> list[int]:
    return ids[:-1] if ids[-1:] == [end] else ids


def _compare(tokenizer: Any, what: str, trained: list[int], served: list[int]) -> None:
    if trained == served:
        return
    length = min(len(trained), len(served))
    first = next((place for place in range(length) if trained[place] != served[place]), length)
    near = slice(max(0, first - AROUND), first + AROUND)
    raise UserError(
        f"{what}: training would show other tokens than sampling did, from token {first} on: "
        f"training {trained[near]} {tokenizer.decode(trained[near])!r}, sampling {served[near]} {tokenizer.decode(served[near])!r}; "
        "the model's chat template and tokenizer have to be the sampler's"
    )
