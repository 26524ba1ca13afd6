"""Collect what a generation learns from: traces sampled and verified, probed and asked again, selected, and made to reflect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selfimprove.checkpoints.tokens import decoder
from selfimprove.errors import UserError
from selfimprove.evaluation.ledger import entries
from selfimprove.protocols import Prompter
from selfimprove.records import AcceptedTrace, Checkpoint, LedgerEntry, Outcome, Problem, Selection, Stage, ThinkingFigures
from selfimprove.sampling.allocation import FixedK, fit_beta
from selfimprove.stages.annotate import annotate
from selfimprove.stages.ask_again import AskedAgain
from selfimprove.stages.context import RunContext
from selfimprove.stages.draw import accepted_before, draw
from selfimprove.stages.probe import probe, read_probes
from selfimprove.stages.rationalize import rationalize
from selfimprove.stages.reflect import reflect
from selfimprove.stages.retry import retry
from selfimprove.stages.sample import SampleCounts, ask, count_samples, sample, sample_teacher
from selfimprove.stages.score_steps import read_rewards, score_steps
from selfimprove.stages.search import SearchCost, search_samples
from selfimprove.stages.select import select
from selfimprove.stages.waves import Waves
from selfimprove.storage.files import read_records, write_records
from selfimprove.storage.shards import JudgedShards, stored
from selfimprove.storage.stopwatch import Stopwatch
from selfimprove.thinking.anatomy import anatomy
from selfimprove.thinking.behaviours import Behaviours
from selfimprove.thinking.under_thinking import estimates
from selfimprove.workflow.workflow import Workflow

OFF_POLICY = "off-policy"
"""Ends the origin of rows that the champion before the last wrote."""


@dataclass(frozen=True)
class Collected:
    """The traces of a generation and what was accepted of them."""

    problems: Sequence[Problem]
    """Problems that were sampled."""
    shards: JudgedShards
    sampled: SampleCounts
    selection: Selection
    rationalized: AskedAgain
    retried: AskedAgain
    anatomy: ThinkingFigures | None
    search: SearchCost | None = None
    """Cost of the search for the traces; None where they were sampled without one."""

    @property
    def falsely_accepted(self) -> int:
        """Number of accepted traces whose verdict is `wrong`; 0 where selection goes by verdicts."""
        accepted = {row.trace_id for row in self.selection.accepted}
        return sum(item.trace.id in accepted and item.verdict.outcome is Outcome.WRONG for item in self.shards.read())


def collect(
    context: RunContext,
    champion: Checkpoint,
    number: int,
    folder: Path,
    watch: Stopwatch,
    off_policy: bool = False,
    problems: Sequence[Problem] | None = None,
) -> Collected:
    """Sample and verify the traces of this generation, probe, retry and rationalize where the workflow asks for it, and select.

    The accepted rows go to `accepted.parquet`. In generation 1 a teacher, where there is one, writes the traces: these are neither probed,
    retried nor rationalized.

    Args:
        champion: The model that writes the traces.
        off_policy: Whether there is a newer champion, so that the rows are marked.
        problems: The problems to sample; None: those that are drawn for this generation.
    """
    workflow, label, rationalized, retried = context.workflow, f"generation {number}", AskedAgain(), AskedAgain()
    teacher, rewards, cost = workflow.teacher if number == 1 else None, workflow.process_reward, None
    prompter = student_prompter(workflow, number)
    with watch.time(Stage.SAMPLE):
        problems = draw(context, number) if problems is None else problems
        if teacher:
            shards = sample_teacher(context, teacher, problems, folder, f"{label}, sampling from the teacher")
        elif rewards and rewards.search:
            requests = ask(context, problems, f"g{number}", prompter)
            shards, cost = search_samples(context, rewards, rewards.search, champion, requests, problems, folder, f"{label}, searching")
        else:
            shards = sample_allocated(context, champion, problems, prompter, folder, number)
    sampled = count_samples(shards.read())
    if sampled.endless > sum(sampled.outcomes.values()) / 2:
        context.progress.say(f"{label}: {sampled.endless} of {sum(sampled.outcomes.values())} traces never ended their turn; see `selfimprove check`")
    if cost:
        sampled = replace(sampled, tokens=cost.tokens)
    if rewards:
        with watch.time(Stage.REWARD):
            score_steps(context, rewards, shards.read(), problems, folder, f"{label}, scoring thoughts")
            # The trainer needs its memory.
            context.cluster.end(rewards.scorer)
    if workflow.probe and not teacher:
        with watch.time(Stage.PROBE):
            probe(context, workflow.probe, champion, shards, prompter, folder, f"{label}, probing")
    unsolved = [problem for problem in problems if not sampled.solves.get(problem.id, (0, 0))[0]]
    if workflow.retry and not teacher:
        with watch.time(Stage.RETRY):
            retried = retry(context, workflow.retry, champion, shards.read(), unsolved, prompter, folder, number)
        solved = {row.problem_id for row in retried.selection.accepted}
        unsolved = [problem for problem in unsolved if problem.id not in solved]
    if workflow.rationalization and not teacher:
        with watch.time(Stage.RATIONALIZE):
            rationalized = rationalize(context, workflow.rationalization, champion, unsolved, prompter, folder, number)
    with watch.time(Stage.SELECT):
        probes, decode = read_probes(folder), None if teacher else decoder(champion.path)
        figures = anatomy((item.trace for item in shards.read()), workflow.behaviours or Behaviours(), decode)
        if figures and probes:
            under, over = estimates(annotate(shards.read(), probes))
            figures = replace(figures, under_thinking=under, over_thinking=over)
        selection = select(context, shards.read(), problems, number, probes, read_rewards(folder))
        selection = teacher.taught(selection, shards.read(), workflow.delimiters) if teacher else retried.beside(rationalized.beside(selection))
        if workflow.reflection:
            selection = reflect(context, workflow.reflection, selection, accepted_before(context, number), number)
        if off_policy:
            marked = (replace(row, origin=f"{row.origin}, {OFF_POLICY}") for row in selection.accepted)
            selection = replace(selection, accepted=tuple(marked))
        write_records(folder / "accepted.parquet", selection.accepted, AcceptedTrace)
    return Collected(problems, shards, sampled, selection, rationalized, retried, figures, cost)


def student_prompter(workflow: Workflow, number: int) -> Prompter:
    """How the model that samples this generation is asked: with `first_prompter` where it is the one that samples generation 1."""
    return (workflow.first_prompter if number - workflow.lag(number) == 1 else None) or workflow.prompter


def sample_allocated(
    context: RunContext, checkpoint: Checkpoint, problems: Sequence[Problem], prompter: Prompter, folder: Path, number: int
) -> JudgedShards:
    """As many traces of each problem as the workflow's allocator decides, with their verdicts.

    Raises:
        UserError: The allocator goes by what is accepted, and the selector has to see all traces of a problem to tell.
    """
    workflow, label = context.workflow, f"generation {number}, sampling"
    if isinstance(workflow.allocator, FixedK):
        return sample(context, checkpoint, ask(context, problems, f"g{number}", prompter), problems, folder, label)
    requests = ask(context, problems, f"g{number}", prompter, replace(workflow.sampling, n=1))
    waves = Waves(workflow, requests, problems, number, context.rates(problems) or earlier_rates(context, number))
    first = waves.next_wave() or []
    if not waves.ended and not workflow.selector.needs_reference:
        selector, allocator = type(workflow.selector).__name__, type(workflow.allocator).__name__
        raise UserError(
            f"{selector} compares all traces of a problem, but {allocator} decides by what is accepted while they arrive; set allocator=FixedK()"
        )
    return sample(context, checkpoint, first, problems, folder, label, later=waves)


def earlier_rates(context: RunContext, number: int) -> dict[str, float]:
    """The solve rate of each problem in the last generation before this one that sampled it, by problem id.

    It is the posterior mean under the Beta distribution that fits that generation's ledger best (empirical Bayes), so few samples say little.
    """
    rates: dict[str, float] = {}
    # A teacher's rates are not the model's.
    for past in range(2 if context.workflow.teacher else 1, number):
        folder = context.run.generation(past)
        if (ledger := folder / "ledger.parquet").exists():
            rows = [row for row in read_records(ledger, LedgerEntry) if row.set == "train"]
        else:
            # It is in training; the ledger will count the same traces.
            rows = entries(count_samples(stored(folder)).solves, "train", past)
        alpha, beta = fit_beta((row.right, row.samples) for row in rows)
        rates |= {row.problem_id: (alpha + row.right) / (alpha + beta + row.samples) for row in rows}
    return rates
