"""Verdicts on traces as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from selfimprove.protocols import Cluster, Verifier
from selfimprove.records import JudgedTrace, Problem, Trace
from selfimprove.verification.pool import VerifierPool


def stream_verdicts(
    verifier: Verifier, problems: Iterable[Problem], traces: Iterable[Sequence[Trace]], cluster: Cluster, deadline: float = 5.0
) -> Iterator[list[JudgedTrace]]:
    """Each batch of traces with its verdicts, as it comes: while one batch is judged, the sampler works on.

    Args:
        deadline: seconds after which the process that judges an answer is killed and the verdict is `timeout`.
    """
    by_id = {problem.id: problem for problem in problems}
    worker = cluster.open("verifier", VerifierPool(verifier, deadline=deadline))
    for batch in traces:
        verdicts = worker.call("verify", [(by_id[trace.problem_id], trace) for trace in batch])
        yield [JudgedTrace(trace, verdict) for trace, verdict in zip(batch, verdicts, strict=True)]
