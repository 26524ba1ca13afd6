"""Verdicts on traces as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from selfimprove.protocols import Cluster, Load
from selfimprove.records import JudgedTrace, Problem, Trace
from selfimprove.verification.pool import VerifierPool

LARGEST_SHARE = 64
"""Traces per call to one of several copies: enough for the processes of a copy, few enough to spread the last ones evenly."""

PENDING = 256
"""Traces without a verdict, per copy, below which a copy gets more: enough that it never waits for the sampler's next ones."""


def stream_verdicts(
    pool: VerifierPool, problems: Iterable[Problem], traces: Iterable[Sequence[Trace]], cluster: Cluster, role: str = "verifier"
) -> Iterator[list[JudgedTrace]]:
    """Each trace with its verdict, once, in batches as they come and in any order.

    The copies of the pool share the traces. Further traces are taken while earlier ones are verified, so neither sampling nor verifying waits for
    the other.

    Args:
        traces: Batches of traces. An empty one says that the next batch waits for verdicts.
        role: The role of the pool on the cluster, which holds one part at a time.
    """
    by_id = {problem.id: problem for problem in problems}
    copies = pool.resources.copies
    load = Load(PENDING, of_call=lambda arguments: len(arguments[0]), of_item=len, slow_calls=True)
    pending: dict[str, Trace] = {}

    def calls() -> Iterator[tuple[object, ...] | None]:
        for batch in traces:
            if not batch and not pending:
                return
            pending.update((trace.id, trace) for trace in batch)
            for share in _shares(batch, copies):
                yield ([(by_id[trace.problem_id], trace) for trace in share],)
            if not batch:
                yield None

    for batches in cluster.open(role, pool).stream("verdicts", calls(), load):
        judged = []
        for verdict in chain.from_iterable(batches):
            # A call that was run again after its copy died may bring some verdicts twice.
            if trace := pending.pop(verdict.trace_id, None):
                judged.append(JudgedTrace(trace, verdict))
        if judged:
            yield judged


def _shares(batch: Sequence[Trace], copies: int) -> Iterator[Sequence[Trace]]:
    """The traces of each call: all of them for the only copy, an equal share for each of several."""
    size = len(batch) if copies == 1 else min(LARGEST_SHARE, -(-len(batch) // copies))
    for start in range(0, len(batch), size or 1):
        yield batch[start : start + size]
