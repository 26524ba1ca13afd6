"""Requests to a sampler's copies, traces back as they finish."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Literal

from selfimprove.protocols import Cluster, Load, Sampler
from selfimprove.records import Checkpoint, Request, Trace
from selfimprove.records.foreign_text import storable

LARGEST_CALL = 256
"""Requests per call to the only copy of a sampler, or as many as it works on at once: enough to fill it even where calls run one after another."""

QUEUED = 1.0
"""Requests that wait at a copy, as a share of those in progress. With short outputs a fast card is through a batch in a tenth of a second, in which
more must arrive."""

SHARES = 8
"""Calls that fill one of several copies: more calls spread the last requests more evenly, fewer make sending cheaper."""


def stream_traces(
    sampler: Sampler,
    checkpoint: Checkpoint,
    waves: Iterable[Sequence[Request]],
    cluster: Cluster,
    role: str = "sampler",
    method: Literal["sample", "rollouts"] = "sample",
    starting: Callable[[], None] = lambda: None,
) -> Iterator[list[Trace]]:
    """One trace of `checkpoint` for every request, in batches as they finish; each trace comes once.

    Half of a surrogate pair, which a tokenizer or a server may send and no file can hold, becomes U+FFFD.

    Args:
        waves: Requests, one wave after another; a wave is taken when the sampler has room for it. An empty wave says that the next one waits for
            verdicts on earlier traces. If none of these is being sampled any more, an empty batch is yielded.
        method: `rollouts` for traces with log-probabilities, each a `Rollout`.
        starting: Called when a copy starts an engine, which takes a while.
    """
    worker, copies = cluster.open(role, sampler), sampler.resources.copies
    sequences: int = sampler.sequences or worker.call("sequences")
    load = Load(math.ceil(sequences * (1 + QUEUED)), of_call=lambda arguments: len(arguments[1]), of_item=len)
    waiting: set[str] = set()

    def calls() -> Iterator[tuple[object, ...] | None]:
        for wave in waves:
            for batch in _batches(wave, copies, sequences):
                waiting.update(request.id for request in batch)
                yield checkpoint, batch
            if not wave:
                yield None

    for batches in worker.stream(method, calls(), load):
        if not batches:
            yield []
            continue
        if not all(batches):
            starting()
        new = []
        for trace in chain.from_iterable(batches):
            # A call that was run again after its worker died brings some traces twice.
            if trace.id in waiting:
                waiting.remove(trace.id)
                new.append(replace(trace, text=storable(trace.text), finish_reason=storable(trace.finish_reason)))
        if new:
            yield new


def _batches(requests: Sequence[Request], copies: int, sequences: int) -> Iterator[Sequence[Request]]:
    """The requests of each call. With several copies, calls get smaller toward the end, so that all copies finish together (guided self-scheduling,
    Polychronopoulos and Kuck 1987)."""
    begin = 0
    while begin < len(requests):
        left = len(requests) - begin
        size = max(LARGEST_CALL, sequences) if copies == 1 else max(1, min(sequences // SHARES, left // (2 * copies)))
        yield requests[begin : begin + size]
        begin += size
