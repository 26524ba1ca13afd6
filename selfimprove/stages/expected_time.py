"""What a run is expected to cost: tokens, and time on this machine; of a run that was stopped, of what is left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

from selfimprove.checkpoints.soundness import encode_chats, load_tokenizer
from selfimprove.cluster.machine_speed import Speed, speed_here
from selfimprove.problems.proposed import PROPOSED
from selfimprove.problems.sets import ProblemSets, own_sizes
from selfimprove.records import Stage
from selfimprove.sampling.sampling import Sampling
from selfimprove.sampling.vllm_engine import VLLM
from selfimprove.selection.replay import Replay
from selfimprove.stages.context import RunContext
from selfimprove.storage.averaged import AVERAGED
from selfimprove.storage.further import THINKING_OFF
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import traces_held
from selfimprove.workflow.workflow import Workflow

TYPICAL_OUTPUT = 0.5
"""Share of `max_tokens` that an output is assumed to take."""
TYPICAL_ACCEPTED = 0.15
"""Share of the sampled traces that are assumed to be accepted; of the quickstart's, 11 to 23 % are, without and with repeats."""
RUNNING = 256
"""Traces that an engine is assumed to work on at once."""
MEASURED = 32
"""Prompts whose tokens are counted for a mean."""

Lengths: TypeAlias = Mapping[str, Sequence[tuple[int, str]]]
"""Tokens of every prompt and the id of its problem, by stage."""


@dataclass(frozen=True, kw_only=True)
class Yields:
    """What sampling gives, on which the time of a run depends, as a probe has measured it. None is what is typical."""

    output: float | None = None
    """Output tokens of a sampled trace."""
    base_output: float | None = None
    """Output tokens of a trace of the base model's evaluation."""
    rows: float | None = None
    """Rows to train on that generation 1 brings for each problem. Later generations bring the typical number at least."""
    seconds: float | None = None
    """Seconds that collecting generation 1's traces takes for each problem; None: as the tokens and the speed of the machine say."""


TYPICAL = Yields()


def estimate(workflow: Workflow, model: Path, sets: ProblemSets, lengths: Lengths) -> dict[str, float | None]:
    """Upper bounds of the tokens to sample and to train on, and the minutes that are expected on this machine.

    `minutes` is None for reinforcement, whose rollouts no estimate covers.
    """
    own = own_sizes(workflow.problems, workflow.generations, sets.training, sets.own)
    available = [own.get(number, len(sets.training)) for number in range(1, workflow.generations + 1)]
    output = TYPICAL_OUTPUT * workflow.sampling.max_tokens
    samples = [min(workflow.problems_per_generation or most, most) * workflow.sampling.n for most in available]
    candidates = workflow.generations * (1 + (workflow.average is not None))
    evaluated = (candidates + 1) * (1 + bool(workflow.direct_share)) + 1 + len(workflow.all_controls) + 2 * len(workflow.also_prompters)
    asked = evaluated * len(sets.evaluation) + _tested(workflow) * len(sets.test)
    evaluations = asked * workflow.eval_sampling.n
    proposed = workflow.proposer.traces(workflow.generations) if workflow.proposer else 0
    sampled = (sum(samples) + proposed) * output + evaluations * TYPICAL_OUTPUT * workflow.eval_sampling.max_tokens
    for name, problems in sets.guards.items():
        guarded = workflow.guards[name].sampling or workflow.eval_sampling
        sampled += (candidates + 1) * len(problems) * guarded.n * TYPICAL_OUTPUT * guarded.max_tokens
    prompt = sum(length for length, _ in lengths["sample"]) / len(lengths["sample"])
    epochs, most = getattr(workflow.trainer, "epochs", 1), _most_rows(workflow, len(sets.learnable))
    trained = sum(min(so_far, most) for so_far in accumulate(samples)) * epochs * (prompt + output)
    trained /= 1 - _general_share(workflow)
    counts = len(sets.training), own, len(sets.evaluation), len(sets.test), {name: len(problems) for name, problems in sets.guards.items()}
    seconds = None if reinforces(workflow) else sum(_seconds(_works(workflow, *counts, prompt), model).values())
    return {"sampled_tokens": round(sampled), "trained_tokens": round(trained), "minutes": None if seconds is None else seconds / 60}


def time_left(context: RunContext) -> float | None:
    """Seconds that the rest of a run is expected to take on this machine; None where that cannot be told: a part may compute elsewhere, or how it
    likes."""
    workflow, run = context.workflow, context.run
    if not isinstance(workflow.sampler, VLLM) or workflow.teacher or reinforces(workflow):
        return None
    chats = [list(workflow.prompter.messages(problem)) for problem in context.problems[:MEASURED]]
    lengths = [len(ids) for ids in encode_chats(load_tokenizer(Path(context.base.path)), chats)]
    left = [one for work in _works(workflow, *_sizes(context), sum(lengths) / max(len(lengths), 1)) if (one := work.left(run))]
    return sum(_seconds(left, Path(context.base.path)).values()) if left else 0.0


def whole_time(context: RunContext, prompt: float, yields: Yields, speed: Speed) -> dict[Stage, float]:
    """Seconds of a run from its beginning to its end, by stage, with what a probe has measured; `prompt` is the mean of tokens of a bare prompt."""
    return _seconds(_works(context.workflow, *_sizes(context), prompt, yields), Path(context.base.path), speed)


def _sizes(context: RunContext) -> tuple[int, dict[int, int], int, int, dict[str, int]]:
    guards = {name: len(problems) for name, problems in context.guards.items()}
    own = own_sizes(context.workflow.problems, context.workflow.generations, context.problems, context.run.own_problems())
    return len(context.problems), own, len(context.eval_problems), len(context.test_problems), guards


def sampling_time(model: Path, traces: int, output: float, read: float, speed: Speed) -> float:
    """Seconds in which a machine of this speed samples so many traces of so many output tokens each, and reads so many prompt tokens in all."""
    return _Work("", "", Stage.SAMPLE, traces, output, read).seconds(_parameters(model), replace(speed, stage=0.0))


def training_time(model: Path, tokens: float, steps: int, speed: Speed) -> float:
    """Seconds in which a machine of this speed takes so many optimizer steps on so many tokens in all."""
    return _Work("", "", Stage.TRAIN, trained=tokens, steps=steps).seconds(_parameters(model), replace(speed, stage=0.0))


@dataclass(frozen=True)
class _Work:
    """The tokens of a stage."""

    folder: str
    """In the run folder."""
    done: str
    """The file in it that shows that the stage is complete."""
    stage: Stage
    traces: float = 0.0
    output: float = 0.0
    """Output tokens of a trace."""
    read: float = 0.0
    """Tokens of all prompts."""
    trained: float = 0.0
    """Tokens to train on."""
    steps: float = 0.0
    measured: float | None = None
    """Seconds that it takes, where a probe has measured that."""

    def left(self, run: RunFolder) -> _Work | None:
        """What is left of it; None if it is complete."""
        folder = run.root / self.folder
        if (folder / self.done).exists():
            return None
        share = 1 - min(1.0, traces_held(folder) / self.traces) if self.traces else 1.0
        return replace(self, traces=share * self.traces, read=share * self.read)

    def seconds(self, parameters: int, speed: Speed) -> float:
        """The time that it takes at this speed."""
        if self.measured is not None:
            return speed.stage + self.measured
        steps = self.output * max(1.0, self.traces / RUNNING) if self.traces else 0.0
        sampling = max(2 * parameters * self.traces * self.output / speed.sampling, steps * speed.decoding_step)
        reading = 2 * parameters * self.read / speed.reading
        return speed.stage + sampling + reading + max(6 * parameters * self.trained / speed.training, self.steps * speed.training_step)


def _works(
    workflow: Workflow,
    problems: int,
    own: Mapping[int, int],
    eval_problems: int,
    test_problems: int,
    guards: Mapping[str, int],
    prompt: float,
    yields: Yields = TYPICAL,
) -> Iterator[_Work]:
    """The stages of a run. `guards` holds the number of problems of each; their prompts are taken to be as long as the workflow's. `own` holds the
    number of problems of each generation that has problems of its own, or of one level."""

    def length(sampling: Sampling, measured: float | None = yields.output) -> float:
        return TYPICAL_OUTPUT * sampling.max_tokens if measured is None else min(measured, sampling.max_tokens)

    def evaluation(folder: str, asked: float = eval_problems, output: float | None = None, done: str = "score.json") -> _Work:
        sampling = workflow.eval_sampling
        return _Work(folder, done, Stage.EVALUATE, asked * sampling.n, length(sampling) if output is None else output, prompt * asked)

    def guarded(generation: str) -> Iterator[_Work]:
        for name, asked in guards.items():
            sampling = workflow.guards[name].sampling or workflow.eval_sampling
            yield _Work(f"{generation}/guards/{name}", "score.json", Stage.EVALUATE, asked * sampling.n, length(sampling, None), prompt * asked)
        if workflow.direct_share:
            yield evaluation(f"{generation}/{THINKING_OFF}")

    yield evaluation("generation-00/evaluation", output=length(workflow.eval_sampling, yields.base_output))
    yield from guarded("generation-00")
    if workflow.first_prompter is not None:
        yield evaluation("baselines/few_shot/evaluation")
    left, accepted, rows, steps = float(problems), 0.0, 0.0, 0.0
    for number in range(1, workflow.generations + 1):
        now, folder = workflow.of_generation(number), f"generation-{number:02d}"
        n, output = now.sampling.n, length(now.sampling)
        if (rule := now.proposer) and number >= rule.first:
            read = prompt * rule.questions * (rule.shown + rule.samples)
            yield _Work(f"{folder}/{PROPOSED}", "questions.parquet", Stage.SAMPLE, rule.traces(rule.first), output, read)
        there = own.get(number, left)
        drawn = min(now.problems_per_generation or there, there)
        measured = yields.seconds * drawn if number == 1 and yields.seconds is not None else None
        yield _Work(folder, "accepted.parquet", Stage.SAMPLE, drawn * n, output, prompt * drawn, measured=measured)
        of_each = min(TYPICAL_ACCEPTED * n, now.accepted_cap or math.inf)
        if yields.rows is not None:
            of_each = yields.rows if number == 1 else max(yields.rows, of_each)
        accepted = drawn * of_each + (accepted if getattr(now.mixture, "earlier", True) else 0)
        left -= drawn * min(1.0, of_each / now.accepted_cap) if now.accepted_cap and number not in own else 0
        batch, epochs = getattr(now.trainer, "batch_size", 1), getattr(now.trainer, "epochs", 1)
        available = min(accepted, _most_rows(now, problems)) / (1 - min(now.direct_share, 0.5)) / (1 - _general_share(now))
        fewest = getattr(now.trainer, "min_steps", 0)
        rows = max(available * epochs, fewest * min(batch, available))
        steps = max(rows / batch, fewest)
        yield _Work(folder, "training.json", Stage.TRAIN, trained=rows * (prompt + output), steps=steps)
        for candidate in (folder, *([f"{folder}/{AVERAGED}"] if workflow.average is not None else [])):
            yield evaluation(f"{candidate}/evaluation")
            yield from guarded(candidate)
    for control in workflow.all_controls:
        folder, output = f"baselines/{control.name}", length(workflow.sampling) if control.thinks else 0.0
        place = f"{folder}/generation-{workflow.generations:02d}"
        yield _Work(place, "training.json", Stage.TRAIN, trained=rows * (prompt + output), steps=steps)
        yield evaluation(f"{folder}/evaluation", output=None if control.thinks else 1.0)
    if workflow.also_prompters:
        yield evaluation("further-prompts", 2 * len(workflow.also_prompters) * eval_problems, done="scores.json")
    if test_problems:
        yield evaluation("test", _tested(workflow) * test_problems, done="test.json")


def _tested(workflow: Workflow) -> int:
    """Number of models that the final test asks."""
    return 2 + (workflow.first_prompter is not None) + len(workflow.all_controls)


def reinforces(workflow: Workflow) -> bool:
    """Whether any generation learns from rollouts, whose time no estimate covers."""
    return any(workflow.of_generation(number).reinforcement for number in range(1, workflow.generations + 1))


def _general_share(workflow: Workflow) -> float:
    """Share of general rows among those trained on; they are taken to be as long as the others."""
    mixture = workflow.mixture
    return mixture.general_share if isinstance(mixture, Replay) and mixture.general is not None else 0.0


def _most_rows(workflow: Workflow, problems: int) -> float:
    limit, per_problem = getattr(workflow.mixture, "limit", None), getattr(workflow.mixture, "per_problem", None)
    return min(limit or math.inf, (per_problem or math.inf) * problems)


def _seconds(works: Iterable[_Work], model: Path, speed: Speed | None = None) -> dict[Stage, float]:
    """Seconds by stage. The engine starts in the first evaluation."""
    parameters, speed = _parameters(model), speed or speed_here()
    found = {Stage.SAMPLE: 0.0, Stage.TRAIN: 0.0, Stage.EVALUATE: speed.engine_start}
    for work in works:
        found[work.stage] += work.seconds(parameters, speed)
    return found


def _parameters(model: Path) -> int:
    from safetensors import safe_open

    parameters = 0
    for file in model.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            parameters += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return parameters
