"""Forecast: what a trial says about the run that it is the beginning of, and how long that run takes at the speed of the trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from selfimprove.cluster.machine_speed import speed_here
from selfimprove.evaluation.scores import interval
from selfimprove.protocols import Progress
from selfimprove.records import Stage
from selfimprove.stages.baselines import sampled_rows
from selfimprove.stages.context import RunContext
from selfimprove.stages.expected_time import Yields, reinforces, sampling_time, training_time, whole_time
from selfimprove.stages.train import train
from selfimprove.stages.trial import Batch, Trial
from selfimprove.training.sft import SFT

STEPS = 4
"""Optimizer steps of the training that is timed; the first one warms up."""
VERIFIED = 8
"""Answers on which the verifier is timed."""
MUCH = 1.2
"""Seconds of all stages before the training, for each second of sampling, from which on these stages are part of the forecast."""


@dataclass(frozen=True)
class Pace:
    """How fast a trial went."""

    sampling: float
    """Seconds for each trace of generation 1, sampled and verified while others are."""
    verifying: float | None
    """Seconds for each answer that is verified while others are; None without answers, or for a verifier that asks a server."""
    training: bool
    """Whether steps of training were timed; else their time follows from the speed of the machine's matrix products."""
    seconds: dict[Stage, float] | None
    """Expected time of the run by stage; None for reinforcement, whose rollouts no estimate covers."""


def expected_rows(trial: Trial, limit: int | None = None) -> tuple[float, float, float]:
    """The rows that generation 1 is expected to train on, and their 95 % interval: Wilson's, over problems.

    `limit` is the mixture's maximum.
    """
    most = max([1, *trial.rows.values()])
    rates = [trial.rows.get(name, 0) / most for name in trial.asked]
    mean = sum(rates) / len(rates)
    # Where all problems were asked, the run will sample the same traces.
    low, high = interval(rates, len(rates)) if len(rates) < trial.drawn else (mean, mean)
    expected, low, high = (min(trial.drawn * most * share, limit or float("inf")) for share in (mean, low, high))
    return expected, low, high


def pace(context: RunContext, trial: Trial) -> Pace:
    """Time the verifier and a few optimizer steps, and expect the time of the run from these and from the trial.

    Raises:
        UserError: A part cannot work; the message says what to change.
    """
    first, begun, here = context.of_generation(1), trial.evaluated[1:] or trial.evaluated, speed_here()
    verifying, sampling = _verifying(context, trial), _each(trial.sampled, lambda batch: len(batch.judged))
    if reinforces(context.workflow):
        return Pace(sampling, verifying, False, None)
    own = [] if first.workflow.teacher else trial.sampled[1:] or trial.sampled
    speed = replace(here, engine_start=trial.start).slower(sampling=_slowness(context, [*begun, *own]))
    training = _training_slowness(first, trial.sampled[-1].number) if isinstance(first.workflow.trainer, SFT) else None
    apart = first.workflow.teacher is not None or trial.beside > MUCH
    yields = Yields(
        output=_mean([item.trace.output_tokens for item in trial.judged]),
        base_output=_mean([item.trace.output_tokens for item in trial.base_judged]),
        rows=sum(trial.rows.values()) / len(trial.asked) or None,
        seconds=_each(trial.sampled, lambda batch: batch.problems) if apart else None,
    )
    prompt = _mean([len(item.trace.prompt_token_ids) for item in trial.base_judged])
    return Pace(sampling, verifying, training is not None, whole_time(context, prompt, yields, speed.slower(training=training or 1.0)))


def _each(batches: Sequence[Batch], count: Callable[[Batch], int]) -> float:
    """Seconds for each of what is counted, in the batches that come closest to a full engine: all but the small first one."""
    chosen = batches[1:] or batches
    return sum(batch.seconds for batch in chosen) / max(1, sum(map(count, chosen)))


def _slowness(context: RunContext, batches: Sequence[Batch]) -> float:
    """How many times as long the student's traces took as the speed of the machine's matrix products lets expect."""
    expected, model = 0.0, Path(context.base.path)
    for batch in batches:
        traces = [item.trace for item in batch.judged]
        prompts = {trace.problem_id: trace.prompt_token_ids for trace in traces}
        # What all prompts begin with, such as exemplars, is read once.
        shared = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(*prompts.values(), strict=False)))
        read = shared + sum(len(prompt) - shared for prompt in prompts.values())
        expected += sampling_time(model, len(traces), _mean([trace.output_tokens for trace in traces]), read, speed_here())
    return sum(batch.seconds for batch in batches) / max(expected, 1e-9)


def _training_slowness(context: RunContext, number: int) -> float | None:
    """The same of a few optimizer steps on the traces of a batch, whatever their verdicts; None where there is nothing to train on."""
    trainer, clock = context.workflow.trainer, _Clock(context.progress)
    assert isinstance(trainer, SFT)
    rows = sampled_rows(context, context.known, number)[: trainer.batch_size]
    if not rows:
        return None
    short = replace(trainer, options={**trainer.options, "max_steps": STEPS})
    folder = context.run.generation(number) / "timed"
    _, steps = train(replace(context, progress=clock), context.base, rows, folder, "timed", "training, timed", trainer=short)
    taken, seconds = len(clock.moments) - 1, clock.moments[-1] - clock.moments[0]
    if taken < 1:
        return None
    return seconds / training_time(Path(context.base.path), taken / len(steps) * steps[-1].tokens, taken, speed_here())


def _verifying(context: RunContext, trial: Trial) -> float | None:
    pool, answered = context.workflow.verifiers, [item for item in trial.judged if item.verdict.answer is not None][:VERIFIED]
    if not answered or pool.verifier.confinement.network:
        return None
    worker, begin = context.cluster.open("verifier", pool), time.monotonic()
    worker.call("verify", [(trial.asked[item.trace.problem_id], item.trace) for item in answered])
    return (time.monotonic() - begin) / len(answered)


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


class _Clock:
    """Passes progress on, and keeps when the items of the last stage came."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.moments: list[float] = []

    def begin(self, stage: str, total: int) -> None:
        self.moments = []
        self._progress.begin(stage, total)

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
        self.moments.append(time.monotonic())
        self._progress.advance(items, tokens=tokens, accepted=accepted, total=total, loss=loss)

    def wait(self, reason: str) -> None:
        self._progress.wait(reason)

    def end(self) -> None:
        self._progress.end()

    def say(self, line: str) -> None:
        self._progress.say(line)
