"""Train equals serve: checks before the first step that training reads the token ids that sampling wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.chat_form import end_of_turn
from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Message, Trace
from selfimprove.training.rows import tokenize_prompt, tokenize_row

AROUND = 8
"""Number of tokens shown on each side of a difference."""


def require_agreement(model: Path, rows: Iterable[tuple[AcceptedTrace, Trace]], asked: Iterable[tuple[Sequence[Message], Trace]]) -> int:
    """Refuse to train on completions that were not sampled, or on prompts that are not served.

    Args:
        model: the folder whose tokenizer and chat template are used in training.
        rows: rows with the traces they were made from. The tokens with a loss must be those of the output, end token included.
        asked: chats in the form of the rows' prompts, with traces sampled from them. The tokens of the prompt must be those of the trace.

    Returns:
        The number of rows and chats compared.

    Raises:
        UserError: two differ; the message shows both sequences around the first difference.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    end, compared = end_of_turn(tokenizer), 0
    for row, trace in rows:
        _, completion = tokenize_row(tokenizer, row)
        # A trace that ended at a stop string may lack the end token that training teaches.
        written = list(trace.output_token_ids)
        _compare(tokenizer, f"completion of {row.trace_id}", completion, written if written[-1:] == [end] else [*written, end])
        if row.completion.strip() != tokenizer.decode(_without(written, end)).strip():
            raise UserError(f"row {row.trace_id}: its text and its tokens differ; a row with a rewritten completion must leave out its token ids")
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
        f"{what}: training and sampling have different tokens from token {first} on: "
        f"training {trained[near]} {tokenizer.decode(trained[near])!r}, sampling {served[near]} {tokenizer.decode(served[near])!r}; "
        "train with the chat template and tokenizer of the sampler"
    )
