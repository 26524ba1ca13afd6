"""What a run is expected to cost: tokens, and time on this machine; of a run that was stopped, of what is left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from selfimprove.checkpoints.soundness import encode_chats, load_tokenizer
from selfimprove.cluster.machine_speed import Speed, speed_here
from selfimprove.problems.sets import ProblemSets
from selfimprove.sampling.vllm_engine import VLLM
from selfimprove.stages.context import RunContext
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


def estimate(workflow: Workflow, model: Path, sets: ProblemSets, lengths: Lengths) -> dict[str, float | None]:
    """Upper bounds of the tokens to sample and to train on, and the minutes that are expected on this machine.

    `minutes` is None for reinforcement, whose rollouts no estimate covers.
    """
    drawn = min(workflow.problems_per_generation or len(sets.training), len(sets.training))
    output = TYPICAL_OUTPUT * workflow.sampling.max_tokens
    samples = drawn * workflow.sampling.n
    evaluated = workflow.generations + 2 + len(workflow.all_controls) + 2 * len(workflow.also_prompters)
    asked = evaluated * len(sets.evaluation) + _tested(workflow) * len(sets.test)
    evaluations = asked * workflow.eval_sampling.n
    sampled = samples * workflow.generations * output + evaluations * TYPICAL_OUTPUT * workflow.eval_sampling.max_tokens
    for name, problems in sets.guards.items():
        guarded = workflow.guards[name].sampling or workflow.eval_sampling
        sampled += (workflow.generations + 1) * len(problems) * guarded.n * TYPICAL_OUTPUT * guarded.max_tokens
    prompt = sum(length for length, _ in lengths["sample"]) / len(lengths["sample"])
    epochs, most = getattr(workflow.trainer, "epochs", 1), _most_rows(workflow, len(sets.training))
    trained = sum(min(samples * generation, most) for generation in range(1, workflow.generations + 1)) * epochs * (prompt + output)
    guards = {name: len(problems) for name, problems in sets.guards.items()}
    works = _works(workflow, len(sets.training), len(sets.evaluation), len(sets.test), guards, prompt)
    seconds = None if _reinforces(workflow) else _seconds(works, model)
    return {"sampled_tokens": round(sampled), "trained_tokens": round(trained), "minutes": None if seconds is None else seconds / 60}


def time_left(context: RunContext) -> float | None:
    """Seconds that the rest of a run is expected to take on this machine; None where that cannot be told: a part may compute elsewhere, or how it
    likes."""
    workflow, run = context.workflow, context.run
    if not isinstance(workflow.sampler, VLLM) or workflow.teacher or _reinforces(workflow):
        return None
    chats = [list(workflow.prompter.messages(problem)) for problem in context.problems[:MEASURED]]
    lengths = [len(ids) for ids in encode_chats(load_tokenizer(Path(context.base.path)), chats)]
    guards, prompt = {name: len(problems) for name, problems in context.guards.items()}, sum(lengths) / max(len(lengths), 1)
    works = _works(workflow, len(context.problems), len(context.eval_problems), len(context.test_problems), guards, prompt)
    left = [one for work in works if (one := work.left(run))]
    return _seconds(left, Path(context.base.path)) if left else 0.0


@dataclass(frozen=True)
class _Work:
    """The tokens of a stage."""

    folder: str
    """In the run folder."""
    done: str
    """The file in it that shows that the stage is complete."""
    traces: float = 0.0
    output: float = 0.0
    """Output tokens of a trace."""
    read: float = 0.0
    """Tokens of all prompts."""
    trained: float = 0.0
    """Tokens to train on."""
    steps: float = 0.0

    def left(self, run: RunFolder) -> _Work | None:
        """What is left of it; None if it is complete."""
        folder = run.root / self.folder
        if (folder / self.done).exists():
            return None
        share = 1 - min(1.0, traces_held(folder) / self.traces) if self.traces else 1.0
        return _Work(self.folder, self.done, share * self.traces, self.output, share * self.read, self.trained, self.steps)

    def seconds(self, parameters: int, speed: Speed) -> float:
        steps = self.traces * self.output / RUNNING
        sampling = max(2 * parameters * self.traces * self.output / speed.sampling, steps * speed.decoding_step)
        reading = 2 * parameters * self.read / speed.training
        return speed.stage + sampling + reading + max(6 * parameters * self.trained / speed.training, self.steps * speed.training_step)


def _works(workflow: Workflow, problems: int, eval_problems: int, test_problems: int, guards: Mapping[str, int], prompt: float) -> Iterator[_Work]:
    """The stages of a run, if traces are accepted as often as is typical. `guards` holds the number of problems of each."""
    evaluation = workflow.eval_sampling
    asked = {
        "done": "score.json",
        "traces": eval_problems * evaluation.n,
        "output": TYPICAL_OUTPUT * evaluation.max_tokens,
        "read": prompt * eval_problems,
    }
    yield _Work("generation-00/evaluation", **asked)  # type: ignore[arg-type]
    yield from _guarded(workflow, 0, guards, prompt)
    if workflow.first_prompter is not None:
        yield _Work("baselines/few_shot/evaluation", **asked)  # type: ignore[arg-type]
    left, accepted, rows, steps = float(problems), 0.0, 0.0, 0.0
    for number in range(1, workflow.generations + 1):
        now, folder = workflow.of_generation(number), f"generation-{number:02d}"
        n, output = now.sampling.n, TYPICAL_OUTPUT * now.sampling.max_tokens
        drawn = min(now.problems_per_generation or left, left)
        yield _Work(folder, "accepted.parquet", traces=drawn * n, output=output, read=prompt * drawn)
        of_each = min(TYPICAL_ACCEPTED * n, now.accepted_cap or math.inf)
        accepted = drawn * of_each + (accepted if getattr(now.mixture, "earlier", True) else 0)
        left -= drawn * of_each / now.accepted_cap if now.accepted_cap else 0
        batch, epochs = getattr(now.trainer, "batch_size", 1), getattr(now.trainer, "epochs", 1)
        rows = max(min(accepted, _most_rows(now, problems)) * epochs, getattr(now.trainer, "min_steps", 0) * batch)
        steps = rows / batch
        yield _Work(folder, "training.json", trained=rows * (prompt + output), steps=steps)
        yield _Work(f"{folder}/evaluation", **asked)  # type: ignore[arg-type]
        yield from _guarded(workflow, number, guards, prompt)
    for control in workflow.all_controls:
        folder, output = f"baselines/{control.name}", TYPICAL_OUTPUT * workflow.sampling.max_tokens if control.thinks else 0.0
        yield _Work(f"{folder}/generation-{workflow.generations:02d}", "training.json", trained=rows * (prompt + output), steps=steps)
        yield _Work(f"{folder}/evaluation", **asked | ({} if control.thinks else {"output": 1.0}))  # type: ignore[arg-type]
    if further := 2 * len(workflow.also_prompters) * eval_problems:
        yield _Work("further-prompts", "scores.json", further * evaluation.n, TYPICAL_OUTPUT * evaluation.max_tokens, prompt * further)
    if test_problems:
        tested = _tested(workflow) * test_problems
        yield _Work("test", "test.json", tested * evaluation.n, TYPICAL_OUTPUT * evaluation.max_tokens, prompt * tested)


def _guarded(workflow: Workflow, number: int, guards: Mapping[str, int], prompt: float) -> Iterator[_Work]:
    """The evaluations of one generation by guards, whose prompts are taken to be as long as the workflow's."""
    for name, problems in guards.items():
        sampling = workflow.guards[name].sampling or workflow.eval_sampling
        folder = f"generation-{number:02d}/guards/{name}"
        yield _Work(folder, "score.json", problems * sampling.n, TYPICAL_OUTPUT * sampling.max_tokens, prompt * problems)


def _tested(workflow: Workflow) -> int:
    """Number of models that the final test asks."""
    return 2 + (workflow.first_prompter is not None) + len(workflow.all_controls)


def _reinforces(workflow: Workflow) -> bool:
    return any(workflow.of_generation(number).reinforcement for number in range(1, workflow.generations + 1))


def _most_rows(workflow: Workflow, problems: int) -> float:
    limit, per_problem = getattr(workflow.mixture, "limit", None), getattr(workflow.mixture, "per_problem", None)
    return min(limit or math.inf, (per_problem or math.inf) * problems)


def _seconds(works: Iterator[_Work] | Sequence[_Work], model: Path) -> float:
    parameters, speed = _parameters(model), speed_here()
    return speed.engine_start + sum(work.seconds(parameters, speed) for work in works)


def _parameters(model: Path) -> int:
    from safetensors import safe_open

    parameters = 0
    for file in model.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            parameters += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return parameters
