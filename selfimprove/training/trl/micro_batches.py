"""Divides the rows of each optimizer step into micro-batches of a limited number of tokens, the same number for every worker."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from selfimprove.seeds import derive_seed


@dataclass(frozen=True)
class Plan:
    """The micro-batches of a training in the order in which they are computed: step by step, and one for each worker in turn."""

    batches: list[list[int]]
    """The places of the rows in each; empty where a step has fewer rows than there are workers."""
    per_step: int
    """Micro-batches that each worker computes for one optimizer step."""


def plan(lengths: Sequence[int], *, batch_size: int, steps: int, tokens: int, workers: int = 1, padded: bool = False, seed: int = 0) -> Plan:
    """Plan a training. Rows are shuffled again each epoch, whose last step may have fewer rows.

    Which rows a step has depends neither on the number of workers nor on `tokens`.

    Args:
        lengths: tokens of each row.
        batch_size: rows of one optimizer step, over all workers.
        steps: optimizer steps.
        tokens: most tokens in one micro-batch. A longer row is a micro-batch of its own.
        workers: workers that train together.
        padded: whether rows are padded to the longest of their micro-batch, and padding counts as well.
        seed: of the order of the rows.
    """
    rows = [step for step, _ in zip(_steps(len(lengths), batch_size, seed), range(steps), strict=False)]
    per_step = 1
    for step in rows:
        while not _fits(_divide(step, lengths, per_step * workers, padded), lengths, tokens, padded):
            per_step += 1
    return Plan([batch for step in rows for batch in _divide(step, lengths, per_step * workers, padded)], per_step)


def _steps(rows: int, batch_size: int, seed: int) -> Iterator[list[int]]:
    epoch = 0
    while True:
        order = list(range(rows))
        random.Random(derive_seed(seed, "order of rows", epoch)).shuffle(order)
        for step in range(math.ceil(rows / batch_size)):
            yield order[step * batch_size : (step + 1) * batch_size]
        epoch += 1


def _divide(rows: Sequence[int], lengths: Sequence[int], parts: int, padded: bool) -> list[list[int]]:
    """Divide rows into parts of similar cost: longest first, each goes where the cost is then least."""
    divided: list[list[int]] = [[] for _ in range(parts)]
    for row in sorted(rows, key=lambda row: -lengths[row]):
        min(divided, key=lambda part: _cost([*part, row], lengths, padded)).append(row)
    return divided


def _fits(divided: Sequence[Sequence[int]], lengths: Sequence[int], tokens: int, padded: bool) -> bool:
    return all(len(part) <= 1 or _cost(part, lengths, padded) <= tokens for part in divided)


def _cost(rows: Sequence[int], lengths: Sequence[int], padded: bool) -> int:
    """Tokens of a micro-batch."""
    costs = [lengths[row] for row in rows]
    return len(costs) * max(costs) if padded else sum(costs)
