"""The stages that take long, on disk: each takes up where it stopped, and what is there already is only read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from selfimprove.allotment import Allotment
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.evaluation.scores import score
from selfimprove.protocols import Prompter, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, Outcome, Problem, Request, Score, Trace, TrainingStep, Usage
from selfimprove.seams import Cluster, Progress, Tracker
from selfimprove.seeds import derive_seed
from selfimprove.selection.contamination import ExamIndex
from selfimprove.settings import describe
from selfimprove.stages import ask, sample_waves, train, verify
from selfimprove.storage.files import read_json, read_records, write_json
from selfimprove.storage.manifest import digest, require_same
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import JudgedShards
from selfimprove.teacher import Teacher
from selfimprove.workflow import Workflow

COMPARED = 256
"""Sequences of each kind that are compared before a training."""


@dataclass(frozen=True)
class Campaign:
    """What stays the same through all generations of a run."""

    workflow: Workflow
    run: RunFolder
    cluster: Cluster
    tracker: Tracker
    progress: Progress
    base: Checkpoint
    problems: Sequence[Problem]
    held_out: Sequence[Problem]
    exam: ExamIndex | None
    """The held-out questions, to keep them out of what is trained on."""
    training: list[Trainer] = field(default_factory=list)
    """Whose turn it is to train."""
    predicted: Mapping[str, float] = field(default_factory=dict)
    """Solve rates of this generation's problems, by id, as far as they are predicted."""

    def of_generation(self, number: int) -> Campaign:
        """The campaign with what this generation does in its own way."""
        return replace(self, workflow=self.workflow.of_generation(number))

    def here(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same; the base model, which each machine keeps in a place of its own, where it is on this one."""
        return self.base if checkpoint.id == self.base.id and checkpoint.weights_hash == self.base.weights_hash else checkpoint

    def rates(self, problems: Sequence[Problem]) -> dict[str, float]:
        """The predicted solve rates of these problems."""
        return {problem.id: self.predicted[problem.id] for problem in problems if problem.id in self.predicted}


def sample_and_verify(
    campaign: Campaign,
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
    workflow, progress = campaign.workflow, campaign.progress
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
            campaign.cluster.end(workflow.sampler)
        progress.begin(label, len(missing) + (later.most if later else 0))
        traces = sample_waves(sampler, checkpoint, chain([first], waves), campaign.cluster)
        if teacher:
            traces = ([teacher.read(trace) for trace in batch] for batch in traces)
        for judged in verify(workflow.verifier, problems, traces, campaign.cluster, workflow.verifier_deadline):
            shards.add(judged)
            correct = sum(item.verdict.outcome is Outcome.CORRECT for item in judged)
            progress.advance(len(judged), tokens=sum(item.trace.output_tokens for item in judged), accepted=correct)
        progress.end()
        if teacher:
            campaign.cluster.end(teacher.sampler)
    return shards


def sample_teacher(campaign: Campaign, teacher: Teacher, problems: Sequence[Problem], folder: Path, label: str) -> JudgedShards:
    """The base case of another model: its traces of these problems, verified."""
    workflow = campaign.workflow
    decoding = teacher.sampling or workflow.sampling
    requests = ask(problems, teacher.prompter, decoding, "g1", workflow.seed, teacher.delimiters)
    return sample_and_verify(campaign, teacher.checkpoint(decoding), requests, problems, folder, label, teacher)


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


def require_agreement(
    campaign: Campaign, start: Checkpoint, rows: Sequence[AcceptedTrace], shards: JudgedShards, folder: Path, trainer: Trainer | None = None
) -> None:
    """Let the trainer show that it reads what the sampler wrote: rows of this generation, and the bare question as the exam asked it.

    `trainer` is the workflow's where it is None.

    Raises:
        UserError: it does not; nothing has been trained.
    """
    if (folder / "training.json").exists():
        return
    ours = {row.trace_id: row for row in rows if row.completion_token_ids is not None}
    pairs = [(ours[item.trace.id], item.trace) for item in shards.read() if item.trace.id in ours]
    bare = {problem.id: campaign.workflow.prompter.messages(problem) for problem in campaign.held_out}
    exam = read_records(campaign.run.generation(0) / "exam" / "traces" / "shard-00000.parquet", Trace)
    asked = [(bare[trace.problem_id], trace) for trace in exam]
    trainer = take_turn(campaign, trainer or campaign.workflow.trainer)
    campaign.cluster.open("trainer", trainer).call("agreement", start, pairs[:COMPARED], asked[:COMPARED])


def fine_tune(
    campaign: Campaign,
    start: Checkpoint,
    rows: Sequence[Any],
    folder: Path,
    checkpoint_id: str,
    number: int,
    label: str,
    trainer: Trainer | None = None,
) -> tuple[Checkpoint, list[TrainingStep]]:
    """The checkpoint trained on these rows, and the steps it took; one that is there is only read.

    `trainer` is the workflow's where it is None; `rows` are what it trains on.
    """
    trainer = trainer or campaign.workflow.trainer
    note = folder / "training.json"
    into = folder / "checkpoint"
    if note.exists():
        return describe_folder(into, checkpoint_id, start.id, number), read_json(note, list[TrainingStep])
    seed = derive_seed(campaign.workflow.seed, "train", number)
    made_from = {
        "rows": digest(rows),
        "weights": start.weights_hash,
        "tokenizer and chat template": start.tokenizer_hash,
        "trainer": digest([describe(trainer), seed]),
    }
    require_same(folder / "training.manifest.json", made_from)
    campaign.cluster.open("sampler", campaign.workflow.sampler).call("rest")
    steps: list[TrainingStep] = []
    campaign.progress.begin(label, 0)
    checkpoint = train(
        take_turn(campaign, trainer),
        start,
        rows,
        into,
        campaign.cluster,
        checkpoint_id=checkpoint_id,
        generation=number,
        seed=seed,
        on_step=_watching(campaign, steps),
    )
    campaign.progress.end()
    write_json(note, steps)
    return checkpoint, steps


def take_turn(campaign: Campaign, trainer: Trainer) -> Trainer:
    """This trainer, after the last one has ended: a machine has room for one of them beside the sampler."""
    before = campaign.training[:]
    campaign.training[:] = [trainer]
    for other in before:
        if other != trainer:
            campaign.cluster.end(other)
    return trainer


def _watching(campaign: Campaign, steps: list[TrainingStep]) -> Callable[[TrainingStep], None]:
    def on_step(step: TrainingStep) -> None:
        # A training whose worker died begins anew.
        del steps[step.step - 1 :]
        tokens = step.tokens - (steps[-1].tokens if steps else 0)
        steps.append(step)
        campaign.progress.advance(1, tokens=tokens, total=step.steps, loss=step.loss)

    return on_step


def take_exam(campaign: Campaign, checkpoint: Checkpoint, folder: Path, prompter: Prompter, label: str, name: str | None = None) -> Score:
    """The score of a checkpoint on the held-out problems; an exam that was taken is only read.

    `name` tells the traces of this exam from those of another one of the same checkpoint.
    """
    if (folder / "score.json").exists():
        return read_json(folder / "score.json", Score)
    workflow = campaign.workflow
    held_out, namespace = campaign.held_out, f"{name or checkpoint.id}-exam"
    requests = ask(held_out, prompter, workflow.exam, namespace, workflow.seed, workflow.delimiters, campaign.rates(held_out))
    shards = sample_and_verify(campaign, checkpoint, requests, campaign.held_out, folder, label)
    result = score(checkpoint.id, list(shards.read()))
    write_json(folder / "score.json", result)
    return result
