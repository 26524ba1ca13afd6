"""Optimizer steps of equal size in passes of equal size, for trainers whose loss is the mean over the rows of a pass."""

from __future__ import annotations

import random
from itertools import chain, count, islice

from selfimprove.seeds import derive_seed


def step_size(rows: int, batch_size: int, workers: int) -> int:
    """Rows of each step: `batch_size`, or fewer if there are fewer rows, and equally many for each worker."""
    return max(workers, min(batch_size, rows) // workers * workers)


def order_of_rows(rows: int, taken: int, seed: int) -> list[int]:
    """The places of so many rows, shuffled again each epoch. An epoch may end within a step."""
    return list(islice(chain.from_iterable(_epoch(rows, seed, epoch) for epoch in count()), taken))


def rows_at_once(rows: int, row_tokens: int, tokens: int) -> int:
    """Rows in one forward and backward pass: the largest divisor of `rows` that fits into `tokens`, and one at least.

    Args:
        rows: rows of a step on one worker.
        row_tokens: tokens of the longest row. Shorter ones are padded.
        tokens: most tokens in one pass.
    """
    return next(size for size in range(rows, 0, -1) if rows % size == 0 and (size == 1 or size * row_tokens <= tokens))


def _epoch(rows: int, seed: int, epoch: int) -> list[int]:
    order = list(range(rows))
    random.Random(derive_seed(seed, "order of rows", epoch)).shuffle(order)
    return order
