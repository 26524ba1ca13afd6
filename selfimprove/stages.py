"""The verbs of a round: ask, sample, verify, select, train, examine; `loop.py` puts them in their usual order, a custom round in another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.folders import describe_folder
from selfimprove.delimiters import THINK, Delimiters
from selfimprove.evaluation.scores import score
from selfimprove.protocols import Prompter, Sampler, Selector, Trainer, Verifier
from selfimprove.records import Checkpoint, JudgedTrace, Message, Problem, Request, Score, Selection, Trace, TrainingStep
from selfimprove.resources import Resources
from selfimprove.sampling.decoding import Decoding
from selfimprove.sampling.vllm_engine import SEQUENCES
from selfimprove.seams import Cluster, Load
from selfimprove.verification.pool import VerifierPool

LARGEST_CALL = 256
"""Requests handed to the only copy of a sampler at once: an engine's fill, also where calls are made one after another."""

LARGEST_SHARE = 32
"""The same where there are several copies: the more, the less their sending costs; the fewer, the more evenly the last ones are spread."""

QUEUED = 1 / 8
"""Requests that wait at a copy of the sampler, as a share of those that it works on, so that it never runs dry."""


def ask(
    problems: Sequence[Problem],
    prompter: Prompter,
    decoding: Decoding,
    namespace: str,
    seed: int = 0,
    delimiters: Delimiters = THINK,
    predicted: Mapping[str, float] | None = None,
) -> Sequence[Request]:
    """The requests for these problems, each made when it is looked at. Ids read `<problem>/<namespace>/s<sample>`; a request's own seed follows from
    `seed` and its id.

    `predicted` holds solve rates by problem id, for a budget by difficulty.
    """
    prompts = {problem.id: prompter.messages(problem) for problem in problems}
    return decoding.requests(problems, prompts, namespace, seed, delimiters, predicted)


def sample(sampler: Sampler, checkpoint: Checkpoint, requests: Sequence[Request], cluster: Cluster) -> Iterator[list[Trace]]:
    """One trace of `checkpoint` for every request, in batches, as they finish; each trace comes once."""
    return sample_waves(sampler, checkpoint, [requests], cluster)


def sample_waves(sampler: Sampler, checkpoint: Checkpoint, waves: Iterable[Sequence[Request]], cluster: Cluster) -> Iterator[list[Trace]]:
    """As `sample`, for requests that depend on earlier traces: a wave is asked for when the sampler has room for it.

    An empty one says that the next wave waits for traces that are being sampled.
    """
    copies, sequences = getattr(sampler, "resources", Resources()).copies, getattr(sampler, "sequences", SEQUENCES)
    load = Load(math.ceil(sequences * (1 + QUEUED)), of_call=lambda arguments: len(arguments[1]), of_item=len)
    waiting: set[str] = set()

    def calls() -> Iterator[tuple[object, ...] | None]:
        for wave in waves:
            for batch in _batches(wave, copies):
                waiting.update(request.id for request in batch)
                yield checkpoint, batch
            if not wave:
                yield None

    for batches in cluster.open("sampler", sampler).stream("sample", calls(), load):
        new = []
        for trace in chain.from_iterable(batches):
            # A call that was run again after its worker died brings some traces twice.
            if trace.id in waiting:
                waiting.remove(trace.id)
                new.append(trace)
        if new:
            yield new


def verify(
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


def select(selector: Selector, judged: Iterable[JudgedTrace], problems: Iterable[Problem], prompter: Prompter, generation: int) -> Selection:
    """What is good enough to train on; the rows carry the prompt that `prompter` makes, not the one that was sampled with."""
    prompts: Mapping[str, tuple[Message, ...]] = {problem.id: prompter.messages(problem) for problem in problems}
    return selector.select(judged, prompts, generation)


def train(
    trainer: Trainer,
    start: Checkpoint,
    rows: Sequence[Any],
    into: Path,
    cluster: Cluster,
    *,
    checkpoint_id: str,
    generation: int,
    seed: int = 0,
    on_step: Callable[[TrainingStep], None] = lambda step: None,
) -> Checkpoint:
    """Train `start` on `rows`, accepted traces or what else this trainer takes, and leave the result in the folder `into`."""
    for steps in cluster.open("trainer", trainer).stream("train", [(start, rows, into, seed)]):
        for step in steps:
            on_step(step)
    return describe_folder(into, checkpoint_id, parent_id=start.id, generation=generation)


def examine(
    sampler: Sampler,
    verifier: Verifier,
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    prompter: Prompter,
    cluster: Cluster,
    *,
    decoding: Decoding | None = None,
    deadline: float = 5.0,
    seed: int = 0,
) -> Score:
    """The score of a checkpoint on these problems; greedy, one answer each, unless `decoding` says otherwise."""
    requests = ask(problems, prompter, decoding or Decoding(samples_per_problem=1, temperature=0.0), f"{checkpoint.id}-exam", seed)
    traces = sample(sampler, checkpoint, requests, cluster)
    judged = [item for batch in verify(verifier, problems, traces, cluster, deadline) for item in batch]
    return score(checkpoint.id, judged)


def _batches(requests: Sequence[Request], copies: int) -> Iterator[Sequence[Request]]:
    """One call each. For several copies they get smaller toward the end, so that all end together (guided self-scheduling, Polychronopoulos and Kuck
    1987)."""
    begin = 0
    while begin < len(requests):
        size = LARGEST_CALL if copies == 1 else max(1, min(LARGEST_SHARE, (len(requests) - begin) // (2 * copies)))
        yield requests[begin : begin + size]
        begin += size
