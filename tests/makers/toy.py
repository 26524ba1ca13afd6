"""Toy parts: a model that is one number, its skill, and every other part of the loop. A generation takes milliseconds."""

from __future__ import annotations

import json
import random
import re
import shutil
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from queue import SimpleQueue

from selfimprove import Exact, Exemplar, FewShot, Sampling, Workflow
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.protocols import OpenTrainer, Reinforcer, Sampler, Trainer, Verifiers
from selfimprove.records import (
    AcceptedTrace,
    Checkpoint,
    JudgedTrace,
    Outcome,
    Pair,
    Problem,
    ReinforcementPrompt,
    Request,
    Rollout,
    RolloutRequest,
    Trace,
    TrainingStep,
)
from selfimprove.seeds import derive_seed
from selfimprove.storage.files import write_json
from selfimprove.storage.hashes import keep_hashes
from selfimprove.storage.run_folder import RunFolder

SIGNS = sorted(string.printable)
EXEMPLAR = Exemplar("What is 90 + 9?", "90 + 9 = 99.", "99")


def make_toy_model(folder: Path, skill: float) -> Path:
    """Write a folder that looks like a model and whose weights are the skill."""
    import numpy
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"skill": skill, "tie_word_embeddings": False}))
    (folder / "tokenizer.json").write_text("{}")
    save_file({"skill": numpy.array([skill])}, folder / "model.safetensors")
    return folder


def accept_champion(root: Path) -> None:
    """Make what a test did to the champion's files part of the run, as if the champion had been trained so."""
    run = RunFolder(root)
    report = run.reports()[-1]
    keep_hashes(folder := Path(report.kept.path))
    kept = describe_folder(folder, report.kept.id, report.kept.parent_id, report.kept.generation)
    write_json(run.generation(report.generation) / "report.json", replace(report, kept=kept))


def write_tokenizer(folder: Path) -> None:
    """Write a tokenizer with one token per character."""
    from tokenizers import Tokenizer, decoders, models

    tokenizer = Tokenizer(models.BPE({sign: number for number, sign in enumerate(SIGNS)}, []))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.save(str(folder / "tokenizer.json"))


def skill_of(folder: Path | str) -> float:
    return float(json.loads((Path(folder) / "config.json").read_text())["skill"])


@dataclass(frozen=True)
class Sums:
    """`size` additions with distinct questions."""

    size: int = 40
    first: int = 0

    def load(self) -> list[Problem]:
        return [Problem(f"sum-{n}", f"What is {n} + {n % 7}?", str(n + n % 7), "toy") for n in range(self.first, self.first + self.size)]


@dataclass(frozen=True)
class ToySampler(Sampler):
    """Right with a probability of the checkpoint's skill; exemplars in the prompt add `help`."""

    help: float = 0.3

    def open(self) -> ToySampler:
        return self

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        for request in requests:
            yield [self._trace(checkpoint, request)]

    def rest(self, same_weights: bool = False) -> None: ...

    def close(self) -> None: ...

    def _skill(self, checkpoint: Checkpoint, request: Request) -> float:
        return skill_of(checkpoint.path) + (self.help if len(request.messages) > 2 else 0.0)

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        chance = random.Random(request.seed)
        left, right = map(int, re.findall(r"\d+", request.messages[-1]["content"]))
        answer = left + right if chance.random() < self._skill(checkpoint, request) else -1
        text = f"<think>\n{left} + {right} = {answer}.{' ' * chance.randrange(3)}\n</think>\n{answer}"
        return Trace(request.id, request.problem_id, checkpoint.id, (1, 2, 3), tuple(range(12)), text, (), "stop", request.temperature, request.seed)


@dataclass(frozen=True)
class ToyRolloutSampler(ToySampler):
    """Samples from a model in training too. Of each call the last rollout comes first."""

    @property
    def gives_rollouts(self) -> bool:
        return True

    def open(self) -> ToyRolloutSampler:
        return self

    def rollouts(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Rollout]]:
        for request in reversed(requests):
            trace = self._trace(checkpoint, request)
            scored = {field.name: getattr(trace, field.name) for field in fields(trace)}
            yield [Rollout(**scored, logprobs=(-0.5,) * len(trace.output_token_ids))]


@dataclass(frozen=True)
class ToyTrainer(Trainer, OpenTrainer):
    """Adds `gain` to the start's skill for every row, or halves the skill if no row holds a thought."""

    gain: float = 0.02
    epochs: float = 1

    def open(self) -> ToyTrainer:
        return self

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        for step in range(1, len(rows) + 1):
            yield TrainingStep(step, len(rows), 1.0 / step, 1e-4, 10 * step)
        thinks = any("<think>" in row.completion for row in rows)
        learnt = min(0.95, skill_of(start.path) + self.gain * len(rows)) if thinks else skill_of(start.path) / 2
        make_toy_model(into, learnt)


@dataclass(frozen=True)
class ToyPreference(Trainer, OpenTrainer):
    """Adds `gain` to the start's skill for every pair."""

    gain: float = 0.02

    def open(self) -> ToyPreference:
        return self

    def train(self, start: Checkpoint, rows: Sequence[Pair], into: Path, seed: int) -> Iterator[TrainingStep]:
        for step in range(1, len(rows) + 1):
            yield TrainingStep(step, len(rows), 0.69, 1e-6, 20 * step, {"margin": 0.1 * step})
        make_toy_model(into, min(0.95, skill_of(start.path) + self.gain * len(rows)))


@dataclass(frozen=True)
class ToyPractice(Reinforcer, OpenTrainer):
    """Answers every prompt twice in each step, once correctly, and adds `gain` to the start's skill for every answer the verifiers accept."""

    gain: float = 0.01
    steps: int = 2
    verifiers: Verifiers | None = None

    def open(self) -> ToyPractice:
        return self

    def train(self, start: Checkpoint, rows: Sequence[ReinforcementPrompt], into: Path, seed: int) -> Iterator[TrainingStep]:
        assert self.verifiers is not None
        opened, right = self.verifiers.open(), 0
        for step in range(1, self.steps + 1):
            tries = [(row.problem, answer) for row in rows for answer in (row.problem.answer, "-1")]
            traces = [(problem, Trace("t", problem.id, "m", (1,), (2, 3), f"<think>?</think>{a}", (), "stop", 1.0, 0)) for problem, a in tries]
            now = sum(verdict.outcome is Outcome.CORRECT for verdict in opened.verify(traces))
            right += now
            figures = {"reward": now / len(tries), "rollouts": len(tries), "rollouts_right": now}
            yield TrainingStep(step, self.steps, 0.0, 1e-6, 10 * len(tries) * step, figures)
        opened.close()
        make_toy_model(into, min(0.95, skill_of(start.path) + self.gain * right))


@dataclass(frozen=True)
class ToyReinforcement(Reinforcer):
    """Asks for two rollouts of every prompt in each step, and adds `gain` to the skill for every correct one."""

    gain: float = 0.01
    steps: int = 2
    verifiers: Verifiers | None = None

    @property
    def needs_rollouts(self) -> bool:
        return True

    def open(self) -> OpenToyReinforcement:
        return OpenToyReinforcement(self)


class OpenToyReinforcement(OpenTrainer):
    """Keeps the weights of each step in a scratch folder until the training ends."""

    def __init__(self, part: ToyReinforcement) -> None:
        self._part = part
        self._answers: SimpleQueue[tuple[int, Sequence[JudgedTrace]]] = SimpleQueue()

    def train(self, start: Checkpoint, rows: Sequence[ReinforcementPrompt], into: Path, seed: int) -> Iterator[TrainingStep | RolloutRequest]:
        scratch, skill = into.with_name(f".{into.name}.rollouts"), skill_of(start.path)
        for number in range(self._part.steps):
            now = describe_folder(make_toy_model(scratch / str(number), skill), f"{start.id}/{number}")
            places = [(row, f"{row.problem.id}/r{number}/s{sample}") for row in rows for sample in range(2)]
            yield RolloutRequest(
                number, now, tuple(Request(name, row.problem.id, row.messages, 1.0, 1.0, 32, derive_seed(seed, name)) for row, name in places)
            )
            answered, judged = self._answers.get(timeout=10)
            assert answered == number and [one.trace.id for one in judged] == [name for _, name in places]
            right = sum(one.verdict.outcome is Outcome.CORRECT for one in judged)
            skill = min(0.95, skill + self._part.gain * right)
            tokens = sum(len(one.trace.logprobs) for one in judged if isinstance(one.trace, Rollout)) * (number + 1)
            figures = {"reward": right / len(judged), "rollouts": len(judged), "rollouts_right": right}
            yield TrainingStep(number + 1, self._part.steps, 0.0, 1e-6, tokens, figures)
        shutil.rmtree(scratch)
        make_toy_model(into, skill)

    def answer(self, number: int, rollouts: Sequence[JudgedTrace]) -> None:
        self._answers.put((number, rollouts))


def toy_workflow(model: Path, **changes: object) -> Workflow:
    """A workflow of toy parts; `changes` replaces its fields."""
    workflow = Workflow(
        name="toy",
        base_model=str(model),
        problems=Sums(),
        eval_problems=15,
        first_prompter=FewShot((EXEMPLAR,)),
        sampler=ToySampler(),
        sampling=Sampling(n=2, temperature=0.8, max_tokens=32),
        verifier=Exact(),
        trainer=ToyTrainer(),
        generations=2,
        answer_only_baseline=True,
    )
    return replace(workflow, **changes)
