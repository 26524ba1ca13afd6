"""Sample and verify: one stream of traces, each with its verdict, kept shard by shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from selfimprove.checkpoints.removed import require_not_removed
from selfimprove.protocols import Prompter
from selfimprove.records import Checkpoint, JudgedTrace, Outcome, Problem, Request, Usage
from selfimprove.sampling.sampling import Sampling, requests_for
from selfimprove.sampling.stream import stream_traces
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.stages.obstacles import ENDLESS, obstacle
from selfimprove.stages.waves import Waves
from selfimprove.storage.manifest import SAMPLING, digest, require_same
from selfimprove.storage.shards import JudgedShards
from selfimprove.verification.stream import stream_verdicts
from selfimprove.workflow.teacher import Teacher


def ask(
    context: RunContext, problems: Sequence[Problem], name: str, prompter: Prompter | None = None, sampling: Sampling | None = None
) -> Sequence[Request]:
    """The requests for these problems; each is built when it is looked at.

    Args:
        name: Namespace of the requests: ids read `<problem>/<name>/s<sample>`, and each request's seed follows from the run's seed and its id.
        prompter: How the problems are asked; None for the workflow's prompter.
        sampling: How traces are sampled; None for the workflow's sampling.
    """
    workflow = context.workflow
    return requests_for(
        problems,
        prompter or workflow.prompter,
        sampling or workflow.sampling,
        name,
        workflow.seed,
        workflow.delimiters,
        context.rates(problems),
    )


def sample(
    context: RunContext,
    checkpoint: Checkpoint,
    requests: Sequence[Request],
    problems: Sequence[Problem],
    folder: Path,
    label: str | None = None,
    *,
    teacher: Teacher | None = None,
    later: Waves | None = None,
) -> JudgedShards:
    """Sample one trace for every request and verify each as it comes. Shards that `folder` holds already are kept.

    Args:
        checkpoint: The model that writes the traces; the teacher's where there is one.
        problems: The problems that the requests ask.
        folder: Gets `traces/` and `verdicts/`.
        label: Name of the stage in the progress display; None for the folder's name.
        teacher: Writes the traces in place of the student.
        later: Further requests, which follow from verdicts.

    Raises:
        UserError: `folder` holds what other settings left; the message names what differs.
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
    require_same(folder / SAMPLING, made_from)
    shards = JudgedShards(folder, requests)
    missing = shards.missing()
    waves = chain([missing] if missing else [], later.after_first(shards) if later else [])
    if first := next(waves, None):
        progress.begin(label or folder.name, len(missing) + (later.most if later else 0))
        if teacher is None:
            require_not_removed(Path(checkpoint.path))
        # An endpoint needs no memory here, so the student's engine may stay.
        role = "sampler" if teacher is None or teacher.model else "teacher"
        traces = stream_traces(sampler, checkpoint, chain([first], waves), context.cluster, role, starting=lambda: progress.wait("starting vLLM"))
        if teacher:
            traces = ([teacher.read(trace) for trace in batch] for batch in traces)
        try:
            for judged in stream_verdicts(workflow.verifiers, problems, traces, context.cluster, context.verifier_role):
                shards.add(judged)
                context.run.check_store()
                correct = sum(item.verdict.outcome is Outcome.CORRECT for item in judged)
                progress.advance(len(judged), tokens=sum(item.trace.output_tokens for item in judged), accepted=correct)
        except BaseException:
            shards.keep()
            raise
        progress.end()
        context.run.settle()
        if teacher:
            context.cluster.end(teacher.sampler)
    return shards


def sample_teacher(context: RunContext, teacher: Teacher, problems: Sequence[Problem], folder: Path, label: str) -> JudgedShards:
    """The base case with another model: the teacher's traces of these problems, verified."""
    sampling = teacher.sampling or context.workflow.sampling
    requests = requests_for(problems, teacher.prompter, sampling, "g1", context.workflow.seed, teacher.delimiters)
    return sample(context, teacher.checkpoint(sampling), requests, problems, folder, label, teacher=teacher)


@dataclass(frozen=True)
class SampleCounts:
    """Totals over the traces of a stage."""

    outcomes: Mapping[str, int]
    """Traces by outcome."""
    tokens: int
    """Output tokens."""
    solves: Mapping[str, tuple[int, int]]
    """Correct samples and all samples of each problem, by its id."""
    spent: Usage | None
    """Usage that an endpoint reported; None where none was used."""
    endless: int = 0
    """Traces that ran into the token limit after they had left their thinking, or without any."""


def count_samples(judged: Iterable[JudgedTrace]) -> SampleCounts:
    """Count verdicts and output tokens."""
    outcomes, tokens, spent, endless = Counter({outcome.value: 0 for outcome in Outcome}), 0, None, 0
    right: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    for item in judged:
        outcomes[item.verdict.outcome.value] += 1
        tokens += item.trace.output_tokens
        endless += obstacle(item) == ENDLESS
        if more := item.trace.usage:
            spent = spent + more if spent else more
        samples[item.trace.problem_id] += 1
        right[item.trace.problem_id] += item.verdict.outcome is Outcome.CORRECT
    return SampleCounts(dict(outcomes), tokens, {problem: (right[problem], samples[problem]) for problem in sorted(samples)}, spent, endless)
