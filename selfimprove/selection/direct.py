"""Direct rows: accepted traces without their thinking, so that one model answers with and without it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import cycle

from selfimprove.checkpoints.empty_block import EmptyBlock
from selfimprove.records import AcceptedTrace
from selfimprove.records.delimiters import Delimiters
from selfimprove.seeds import derive_seed
from selfimprove.thinking.traces import parse

DIRECT = "direct"
"""Origin of such rows, and the end of their ids."""


def is_direct(row: AcceptedTrace) -> bool:
    """Whether a row is one without its thinking."""
    return row.origin == DIRECT


def source_id(row: AcceptedTrace) -> str:
    """Id of the trace that a row was made of."""
    return row.trace_id.removesuffix(f"/{DIRECT}") if is_direct(row) else row.trace_id


def wanted_rows(rows: int, share: float) -> int:
    """Number of direct rows that are this share of all, beside so many rows with thinking."""
    return round(rows * share / (1 - share))


def direct_rows(
    rows: Iterable[AcceptedTrace],
    wanted: int,
    delimiters: Delimiters,
    blocks: Callable[[bool], Sequence[EmptyBlock]],
    encode: Callable[[str], Sequence[int]],
    seed: int,
) -> list[AcceptedTrace]:
    """A seeded draw of rows with thinking, each with an empty block in its place; the block carries no loss, answer and end of the turn do.

    A problem gets each answer once, however many traces end in it, so there may be fewer than `wanted`.

    Args:
        rows: Rows with thinking. Those without one closed block that holds something are passed over.
        wanted: Most rows to make.
        delimiters: Delimiters of the thinking.
        blocks: The empty blocks to use in turn, given whether the prompt opens the thinking.
        encode: Returns the token ids of a text.
        seed: Of the draw.
    """
    order = sorted(rows, key=lambda row: row.trace_id)
    random.Random(derive_seed(seed, DIRECT)).shuffle(order)
    made: list[AcceptedTrace] = []
    seen: set[tuple[str, str]] = set()
    turns = {opened: cycle(blocks(opened)) for opened in (False, True)}
    for row in order:
        opened = delimiters.begin not in row.completion.partition(delimiters.end)[0]
        parts = parse(row.completion, delimiters, opened)
        known = row.problem_id, parts.answer or ""
        if len(made) < wanted and not parts.flags & {"unclosed", "empty", "repeated"} and parts.answer and known not in seen:
            seen.add(known)
            made.append(_direct(row, next(turns[opened]), parts.after, encode))
    return made


def _direct(row: AcceptedTrace, block: EmptyBlock, after: str, encode: Callable[[str], Sequence[int]]) -> AcceptedTrace:
    # A block that ends a line already needs no second break.
    answer = after.lstrip() if block.text[-1:].isspace() else after
    return replace(
        row,
        trace_id=f"{row.trace_id}/{DIRECT}",
        completion=block.text + answer,
        origin=DIRECT,
        completion_token_ids=(*block.token_ids, *encode(answer)),
        forced=((0, len(block.token_ids)),),
    )
