"""Divides the rows of an optimizer step into passes of equal size that fit into memory."""

from __future__ import annotations


def rows_at_once(batch_size: int, row_tokens: int, tokens: int | None, rows: int | None = None) -> int:
    """Number of rows in one forward and backward pass: as many as fit, so that the mean over the passes of a step is the mean over its rows.

    For losses that average over rows: each pass of a step must hold equally many, in the last step of an epoch too.

    Args:
        batch_size: rows in one optimizer step.
        row_tokens: tokens of the longest row, padding of the others up to it included.
        tokens: maximum number of tokens in one pass; None: no limit. One row is the least.
        rows: rows in an epoch; the last step of an epoch has the rest. None: every step is full.
    """
    most = batch_size if tokens is None else max(1, tokens // row_tokens)
    rest = 0 if rows is None else rows % batch_size
    # A rest that fits into one pass is the only pass of its step.
    return next(size for size in range(min(most, batch_size), 0, -1) if batch_size % size == 0 and (rest % size == 0 or rest <= size))
