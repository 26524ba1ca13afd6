"""Roll out: the traces that a training asks for while it runs, sampled and verified as every other trace."""

from __future__ import annotations

from collections.abc import Sequence

from selfimprove.protocols import Verifiers
from selfimprove.records import JudgedTrace, Problem, RolloutRequest
from selfimprove.sampling.stream import stream_traces
from selfimprove.stages.context import RunContext


def roll_out(context: RunContext, request: RolloutRequest, problems: Sequence[Problem], verifiers: Verifiers) -> list[JudgedTrace]:
    """A `Rollout` with its verdict for each of the requests, in their order.

    Args:
        problems: The problems that may be asked.
        verifiers: What verifies them.
    """
    by_id = {problem.id: problem for problem in problems}
    judged: dict[str, JudgedTrace] = {}
    for batch in stream_traces(context.workflow.sampler, request.checkpoint, [request.requests], context.cluster, method="rollouts"):
        verdicts = context.cluster.open("verifier", verifiers).call("verify", [(by_id[trace.problem_id], trace) for trace in batch])
        judged |= {trace.id: JudgedTrace(trace, verdict) for trace, verdict in zip(batch, verdicts, strict=True)}
        context.run.check_store()
        context.progress.advance(0)
    return [judged[one.id] for one in request.requests]
