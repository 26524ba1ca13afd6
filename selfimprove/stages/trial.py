"""A trial: for about a minute, a real sample of what a run would do first, each trace with its verdict."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from selfimprove.records import JudgedTrace, Problem, Stage
from selfimprove.seeds import derive_seed
from selfimprove.stages.collect import collect
from selfimprove.stages.context import RunContext
from selfimprove.stages.draw import draw
from selfimprove.stages.evaluate import evaluate
from selfimprove.stages.rationalize import RATIONALIZED
from selfimprove.storage.shards import stored
from selfimprove.storage.stopwatch import Stopwatch

SAMPLING_SECONDS, EVALUATION_SECONDS = 40.0, 20.0
"""Seconds for which the first generation is sampled, and for which the base model is evaluated. A first small batch is always finished."""
FIRST = 16
"""Traces of the first batch, or those of one problem if these are more. Each later batch has twice as many problems, as far as the time goes."""
MOST = 256
"""Problems that are asked at most."""


@dataclass(frozen=True)
class Batch:
    """Traces that were sampled and verified in one go."""

    number: int
    problems: int
    judged: Sequence[JudgedTrace]
    seconds: float


@dataclass(frozen=True)
class Trial:
    """What was sampled, and what generation 1 would take of it."""

    drawn: int
    """Problems that generation 1 would sample."""
    asked: Mapping[str, Problem]
    """Those of them that were sampled, by id."""
    sampled: Sequence[Batch]
    evaluated: Sequence[Batch]
    """The base model, on some of the evaluation problems."""
    start: float
    """Seconds until the sampler had answered its first request."""
    beside: float
    """Seconds of all stages before the training for each second of sampling."""
    accepted: Mapping[str, int]
    """Accepted traces by problem, rationalized ones included."""
    rows: Mapping[str, int]
    """Rows to train on by problem, as the mixture takes them."""
    rationalized: int
    """Rows among them that were written with a hint."""
    drops: Mapping[str, int]
    """Traces that selection dropped, by reason."""

    @property
    def judged(self) -> list[JudgedTrace]:
        """The traces of generation 1."""
        return [item for batch in self.sampled for item in batch.judged]

    @property
    def base_judged(self) -> list[JudgedTrace]:
        """The traces of the base model's evaluation."""
        return [item for batch in self.evaluated for item in batch.judged]


def run_trial(context: RunContext) -> Trial:
    """Sample and verify for about a minute what a run would begin with.

    Generation 1's own requests are sent, for some of its problems: a run that follows samples the same traces. The base model is asked some of the
    evaluation problems. Everything goes into the run folder of the context, which should be a temporary one.

    Raises:
        UserError: A part cannot work; the message says what to change.
        WorkerFailed: A worker died again and again.
    """
    seed, first, begin = context.workflow.seed, context.of_generation(1), time.monotonic()
    workflow, measured = first.workflow, _shuffled(context.eval_problems, seed)
    _evaluated(context, measured[:1], 0)
    start = time.monotonic() - begin
    evaluated = list(_batches(measured, workflow.eval_sampling.n, EVALUATION_SECONDS, lambda asked, number: _evaluated(context, asked, number)))
    accepted, rows, drops, seconds = Counter[str](), Counter[str](), Counter[str](), Counter[Stage]()
    rationalized = 0

    def generation(asked: Sequence[Problem], number: int) -> list[JudgedTrace]:
        nonlocal rationalized
        folder = context.run.generation(number)
        watch = Stopwatch(folder / "seconds.json")
        collected = collect(first, context.base, 1, folder, watch, problems=asked)
        mixed = workflow.mixture.rows([collected.selection.accepted], derive_seed(seed, 1))
        accepted.update(row.problem_id for row in collected.selection.accepted)
        rows.update(row.problem_id for row in mixed)
        rationalized += sum(row.origin == RATIONALIZED for row in mixed)
        drops.update(collected.selection.drops)
        seconds.update(watch.seconds)
        return list(collected.shards.read())

    drawn = draw(first, 1)
    writer = (workflow.teacher and workflow.teacher.sampling) or workflow.sampling
    sampled = list(_batches(_shuffled(drawn, seed), writer.n, SAMPLING_SECONDS, generation))
    names = {item.trace.problem_id for batch in sampled for item in batch.judged}
    return Trial(
        drawn=len(drawn),
        asked={problem.id: problem for problem in drawn if problem.id in names},
        sampled=sampled,
        evaluated=evaluated,
        start=start,
        beside=sum(seconds.values()) / seconds[Stage.SAMPLE],
        accepted=accepted,
        rows=rows,
        rationalized=rationalized,
        drops=drops,
    )


def _shuffled(problems: Sequence[Problem], seed: int) -> list[Problem]:
    """The problems in an order in which any of them may come first."""
    return random.Random(derive_seed(seed, "trial")).sample(list(problems), len(problems))


def _batches(problems: Sequence[Problem], n: int, seconds: float, work: Callable[[Sequence[Problem], int], list[JudgedTrace]]) -> Iterator[Batch]:
    """Growing batches of problems, `n` traces of each, until the time is over."""
    begin, number, end = 0, 1, time.monotonic() + seconds
    size = first = max(1, FIRST // n)
    while size and begin < min(len(problems), MOST):
        asked, started = problems[begin : min(begin + size, MOST)], time.monotonic()
        batch = Batch(number, len(asked), work(asked, number), time.monotonic() - started)
        yield batch
        begin, number = begin + size, number + 1
        fits = int((end - time.monotonic()) / max(batch.seconds, 1e-6) * len(asked))
        # A small rest is not worth its start.
        size = min(2 * size, fits) if fits >= first else 0


def _evaluated(context: RunContext, asked: Sequence[Problem], number: int) -> list[JudgedTrace]:
    folder = context.run.generation(0) / f"evaluation-{number}"
    evaluate(replace(context, workflow=replace(context.workflow, also=())), context.base, folder, "base model, evaluation", problems=asked)
    return list(stored(folder))
