"""Roll out: the traces that a training asks for while it runs, sampled and verified as every other trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from selfimprove.protocols import Cluster, Verifiers
from selfimprove.records import JudgedTrace, Problem, RolloutRequest, Trace
from selfimprove.sampling.stream import stream_traces
from selfimprove.stages.context import RunContext
from selfimprove.verification.pool import VerifierPool
from selfimprove.verification.stream import stream_verdicts


def roll_out(context: RunContext, request: RolloutRequest, problems: Sequence[Problem], verifiers: Verifiers) -> list[JudgedTrace]:
    """A `Rollout` with its verdict for each of the requests, in their order.

    Args:
        problems: The problems that may be asked.
        verifiers: What verifies them.
    """
    traces = stream_traces(context.workflow.sampler, request.checkpoint, [request.requests], context.cluster, method="rollouts")
    if isinstance(verifiers, VerifierPool):
        verified = stream_verdicts(verifiers, problems, traces, context.cluster)
    else:
        verified = _verdicts(verifiers, problems, traces, context.cluster)
    judged: dict[str, JudgedTrace] = {}
    for batch in verified:
        judged |= {one.trace.id: one for one in batch}
        context.run.check_store()
        context.progress.advance(0)
    return [judged[one.id] for one in request.requests]


def _verdicts(verifiers: Verifiers, problems: Sequence[Problem], traces: Iterable[Sequence[Trace]], cluster: Cluster) -> Iterator[list[JudgedTrace]]:
    """As `stream_verdicts`, by verifiers that only know `verify`."""
    by_id = {problem.id: problem for problem in problems}
    worker = cluster.open("verifier", verifiers)
    for batch in traces:
        verdicts = worker.call("verify", [(by_id[trace.problem_id], trace) for trace in batch])
        yield [JudgedTrace(trace, verdict) for trace, verdict in zip(batch, verdicts, strict=True)]
