"""What a generation learns from: traces sampled and verified, probed and rationalized where that is asked for, then selected."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selfimprove.checkpoints.tokens import decoder
from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Checkpoint, LedgerEntry, Outcome, Problem, Request, Selection
from selfimprove.sampling.allocation import fit_beta
from selfimprove.seeds import derive_seed
from selfimprove.selection.contamination import EvalIndex
from selfimprove.stages.context import RunContext
from selfimprove.stages.probe import beside, probe, read_probes
from selfimprove.stages.rationalize import Rationalized, rationalize
from selfimprove.stages.sample import Tally, ask, sample_and_verify, sample_teacher, tally
from selfimprove.stages.score_steps import read_rewards, reward, rewarded
from selfimprove.stages.search import SearchCost, search_samples
from selfimprove.stages.select import select
from selfimprove.stages.waves import Allotment
from selfimprove.storage.files import read_records, write_records
from selfimprove.storage.run_folder import Stopwatch
from selfimprove.storage.shards import JudgedShards
from selfimprove.thinking import under_thinking
from selfimprove.thinking.anatomy import anatomy
from selfimprove.thinking.behaviours import Behaviours


@dataclass(frozen=True)
class Gathered:
    """What came of it."""

    problems: Sequence[Problem]
    """That were asked."""
    shards: JudgedShards
    sampled: Tally
    selection: Selection
    rationalized: Rationalized
    anatomy: dict[str, float]
    """As `GenerationReport.anatomy`."""
    search: SearchCost | None = None
    """What it took to search for the traces; None where they were sampled without."""

    @property
    def falsely_accepted(self) -> int:
        """How many accepted traces the verifier calls wrong: none where selection goes by its verdicts."""
        accepted = {row.trace_id for row in self.selection.accepted}
        return sum(item.trace.id in accepted and item.verdict.outcome is Outcome.WRONG for item in self.shards.read())


def gather(context: RunContext, champion: Checkpoint, number: int, folder: Path, watch: Stopwatch) -> Gathered:
    """The traces of this generation, and which of them are accepted; `accepted.parquet` holds these.

    Generation 1 is the teacher's where there is one: its traces are neither probed nor helped with hints.
    """
    workflow, label, rationalized = context.workflow, f"generation {number}", Rationalized()
    teacher, guidance, cost = workflow.teacher if number == 1 else None, workflow.process_reward, None
    prompter = (workflow.first_prompter if number == 1 else None) or workflow.prompter
    with watch.time("sample"):
        problems = draw(context, number)
        if teacher:
            shards = sample_teacher(context, teacher, problems, folder, f"{label}, sampling from the teacher")
        else:
            rates = context.rates(problems)
            if guidance and guidance.search:
                requests = ask(problems, prompter, workflow.sampling, f"g{number}", workflow.seed, workflow.delimiters, rates)
                shards, cost = search_samples(context, guidance, guidance.search, champion, requests, problems, folder, f"{label}, searching")
            else:
                once = replace(workflow.sampling, n=1)
                requests = ask(problems, prompter, once, f"g{number}", workflow.seed, workflow.delimiters, rates)
                shards = sample_allotted(context, champion, requests, problems, folder, number, rates or None)
    sampled = tally(shards)
    if cost:
        sampled = replace(sampled, tokens=cost.tokens)
    if guidance:
        with watch.time("reward"):
            reward(context, guidance, shards.read(), problems, folder, f"{label}, scoring thoughts")
            # The trainer needs its memory.
            context.cluster.end(guidance.scorer)
    if workflow.probe and not teacher:
        with watch.time("probe"):
            probe(context, workflow.probe, champion, shards, prompter, folder, f"{label}, probing")
    if workflow.rationalization and not teacher:
        with watch.time("rationalize"):
            unsolved = [problem for problem in problems if not sampled.solves.get(problem.id, (0, 0))[0]]
            rationalized = rationalize(context, workflow.rationalization, champion, unsolved, prompter, folder, number)
    with watch.time("select"):
        probes, decode = read_probes(folder), None if teacher else decoder(champion.path)
        figures = anatomy((item.trace for item in shards.read()), workflow.behaviours or Behaviours(), decode)
        figures |= under_thinking.figures(beside(shards.read(), probes))
        judged = rewarded(beside(shards.read(), probes), read_rewards(folder))
        selection = select(workflow.selector, judged, problems, workflow.prompter, number)
        selection = teacher.taught(selection, shards.read(), workflow.delimiters) if teacher else rationalized.beside(selection)
        selection = decontaminate(context.eval_index, selection)
        write_records(folder / "accepted.parquet", selection.accepted, AcceptedTrace)
    return Gathered(problems, shards, sampled, selection, rationalized, figures, cost)


def sample_allotted(
    context: RunContext,
    checkpoint: Checkpoint,
    requests: Sequence[Request],
    problems: Sequence[Problem],
    folder: Path,
    number: int,
    predicted: Mapping[str, float] | None = None,
) -> JudgedShards:
    """As many traces of each problem as the workflow's allocator says, with their verdicts.

    Args:
        requests: one of each problem, sample 0, in the order of `problems`; further samples are asked for like it.
        predicted: solve rates by problem id, as of a model of difficulty; None: those of earlier generations, where there are any.

    Raises:
        UserError: the allocator goes by what is accepted, and the selector has to see all traces of a problem to tell.
    """
    workflow, label = context.workflow, f"generation {number}, sampling"
    allotment = Allotment(workflow, requests, problems, number, earlier_rates(context, number) if predicted is None else predicted)
    first = allotment.next_wave() or []
    if allotment.ended:
        return sample_and_verify(context, checkpoint, first, problems, folder, label)
    if not workflow.selector.needs_reference:
        selector, allocator = type(workflow.selector).__name__, type(workflow.allocator).__name__
        raise UserError(
            f"{selector} compares all traces of a problem, and {allocator} goes by what is accepted while they come; set allocator=FixedK()"
        )
    return sample_and_verify(context, checkpoint, first, problems, folder, label, later=allotment)


def earlier_rates(context: RunContext, number: int) -> dict[str, float]:
    """The solve rate of each problem in the last generation before this one that sampled it, by problem id.

    It is the posterior mean under the Beta that fits that generation's ledger best (empirical Bayes): little is concluded from few samples.
    """
    rates: dict[str, float] = {}
    # A teacher's rates are not the model's.
    for past in range(2 if context.workflow.teacher else 1, number):
        rows = [row for row in read_records(context.run.generation(past) / "ledger.parquet", LedgerEntry) if row.set == "train"]
        alpha, beta = fit_beta((row.right, row.samples) for row in rows)
        rates |= {row.problem_id: (alpha + row.right) / (alpha + beta + row.samples) for row in rows}
    return rates


def draw(context: RunContext, number: int) -> list[Problem]:
    """The problems of this generation: all that are below the cap of accepted traces, or a seeded draw of them."""
    cap, wanted = context.workflow.accepted_cap, context.workflow.problems_per_generation
    accepted = Counter(row.problem_id for rows in accepted_before(context, number) for row in rows)
    below = [problem for problem in context.problems if cap is None or accepted[problem.id] < cap]
    if wanted is None or wanted >= len(below):
        return below
    return random.Random(derive_seed(context.workflow.seed, "draw", number)).sample(below, wanted)


def accepted_before(context: RunContext, number: int) -> list[list[AcceptedTrace]]:
    """The accepted traces of each generation before this one, the first generation's first."""
    return [read_records(context.run.generation(past) / "accepted.parquet", AcceptedTrace) for past in range(1, number)]


def decontaminate(evaluation: EvalIndex | None, selection: Selection) -> Selection:
    """Drop what gives a held-out question away, for the reason `contaminated`."""
    if evaluation is None:
        return selection
    clean = evaluation.clean_rows(selection.accepted)
    dropped = len(selection.accepted) - len(clean)
    return Selection(tuple(clean), {**selection.drops, **({"contaminated": dropped} if dropped else {})})
