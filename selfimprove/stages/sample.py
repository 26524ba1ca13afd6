"""Sampling: requests to a sampler, traces back, each with its verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from selfimprove.protocols import Cluster, Load, Prompter, Resources, Sampler
from selfimprove.records import (
    Checkpoint,
    Outcome,
    Problem,
    Request,
    Trace,
    Usage,
)
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.sampling.engine_options import SEQUENCES
from selfimprove.sampling.sampling import Sampling
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.stages.verify import verify
from selfimprove.stages.waves import Allotment
from selfimprove.storage.manifest import digest, require_same
from selfimprove.storage.shards import JudgedShards
from selfimprove.workflow.teacher import Teacher

LARGEST_CALL = 256
"""Requests handed to the only copy of a sampler at once: an engine's fill, also where calls are made one after another."""

LARGEST_SHARE = 32
"""The same where there are several copies: the more, the less their sending costs; the fewer, the more evenly the last ones are spread."""

QUEUED = 1 / 8
"""Requests that wait at a copy of the sampler, as a share of those that it works on, so that it never runs dry."""


def ask(
    problems: Sequence[Problem],
    prompter: Prompter,
    decoding: Sampling,
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


def _batches(requests: Sequence[Request], copies: int) -> Iterator[Sequence[Request]]:
    """One call each. For several copies they get smaller toward the end, so that all end together (guided self-scheduling, Polychronopoulos and Kuck
    1987)."""
    begin = 0
    while begin < len(requests):
        size = LARGEST_CALL if copies == 1 else max(1, min(LARGEST_SHARE, (len(requests) - begin) // (2 * copies)))
        yield requests[begin : begin + size]
        begin += size


def sample_and_verify(
    context: RunContext,
    checkpoint: Checkpoint,
    requests: Sequence[Request],
    problems: Sequence[Problem],
    folder: Path,
    label: str,
    teacher: Teacher | None = None,
    later: Allotment | None = None,
) -> JudgedShards:
    """Sample what is missing and judge it as it comes; what is there already is left as it is.

    `checkpoint` is the teacher's where there is one, else one of the student's; `later` has the requests that follow from verdicts.
    """
    workflow, progress = context.workflow, context.progress
    sampler = teacher.sampler if teacher else workflow.sampler
    made_from = {
        "requests": digest(requests),
        "problems": digest(problems),
        "weights": checkpoint.weights_hash,
        "tokenizer and chat template": checkpoint.tokenizer_hash,
        "sampler": digest([describe(teacher or workflow.sampler)]),
        "verifier": digest([describe(workflow.verifier), workflow.verifier.version, workflow.verifier_deadline]),
    }
    if later:
        made_from["allocation"] = later.digest
    require_same(folder / "sampling.manifest.json", made_from)
    shards = JudgedShards(folder, requests)
    missing = shards.missing()
    waves = chain([missing] if missing else [], later.waves(shards) if later else [])
    if first := next(waves, None):
        if teacher and teacher.model:
            # Two engines have no room beside each other: each begins when the other has ended.
            context.cluster.end(workflow.sampler)
        progress.begin(label, len(missing) + (later.most if later else 0))
        traces = sample_waves(sampler, checkpoint, chain([first], waves), context.cluster)
        if teacher:
            traces = ([teacher.read(trace) for trace in batch] for batch in traces)
        for judged in verify(workflow.verifier, problems, traces, context.cluster, workflow.verifier_deadline):
            shards.add(judged)
            correct = sum(item.verdict.outcome is Outcome.CORRECT for item in judged)
            progress.advance(len(judged), tokens=sum(item.trace.output_tokens for item in judged), accepted=correct)
        progress.end()
        if teacher:
            context.cluster.end(teacher.sampler)
    return shards


def sample_teacher(context: RunContext, teacher: Teacher, problems: Sequence[Problem], folder: Path, label: str) -> JudgedShards:
    """The base case of another model: its traces of these problems, verified."""
    workflow = context.workflow
    decoding = teacher.sampling or workflow.sampling
    requests = ask(problems, teacher.prompter, decoding, "g1", workflow.seed, teacher.delimiters)
    return sample_and_verify(context, teacher.checkpoint(decoding), requests, problems, folder, label, teacher)


@dataclass(frozen=True)
class Tally:
    """What all traces of a stage come to."""

    outcomes: dict[str, int]
    tokens: int
    """Of the outputs."""
    solves: dict[str, tuple[int, int]]
    """Right samples and all samples, by problem."""
    spent: Usage | None
    """What an endpoint counted; None where none was asked."""


def tally(shards: JudgedShards) -> Tally:
    """Count verdicts and output tokens over all shards."""
    outcomes, tokens, spent = Counter({outcome.value: 0 for outcome in Outcome}), 0, None
    right: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    for item in shards.read():
        outcomes[item.verdict.outcome.value] += 1
        tokens += item.trace.output_tokens
        if more := item.trace.usage:
            spent = spent + more if spent else more
        samples[item.trace.problem_id] += 1
        right[item.trace.problem_id] += item.verdict.outcome is Outcome.CORRECT
    return Tally(dict(outcomes), tokens, {problem: (right[problem], samples[problem]) for problem in sorted(samples)}, spent)
