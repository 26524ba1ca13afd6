"""What a generation learns from: traces sampled and verified, probed and rationalized where that is asked for, then selected."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from selfimprove.checkpoints.tokens import decoder
from selfimprove.probing import beside, probe, read_probes
from selfimprove.rationalizing import Rationalized, rationalize
from selfimprove.records import AcceptedTrace, Checkpoint, Outcome, Problem, Selection
from selfimprove.resumable import Campaign, Tally, sample_and_verify, sample_teacher, tally
from selfimprove.seeds import derive_seed
from selfimprove.selection.contamination import ExamIndex
from selfimprove.stages import ask, select
from selfimprove.storage.files import read_records, write_records
from selfimprove.storage.run_folder import Stopwatch
from selfimprove.storage.shards import JudgedShards
from selfimprove.thinking import under_thinking
from selfimprove.thinking.anatomy import anatomy
from selfimprove.thinking.moments import Moments


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

    @property
    def falsely_accepted(self) -> int:
        """How many accepted traces the verifier calls wrong: none where selection goes by its verdicts."""
        accepted = {row.trace_id for row in self.selection.accepted}
        return sum(item.trace.id in accepted and item.verdict.outcome is Outcome.WRONG for item in self.shards.read())


def gather(campaign: Campaign, champion: Checkpoint, number: int, folder: Path, watch: Stopwatch) -> Gathered:
    """The traces of this generation, and which of them are accepted; `accepted.parquet` holds these.

    Generation 1 is the teacher's where there is one: its traces are neither probed nor helped with hints.
    """
    workflow, label, rationalized = campaign.workflow, f"generation {number}", Rationalized()
    teacher = workflow.teacher if number == 1 else None
    prompter = (workflow.first_prompter if number == 1 else None) or workflow.prompter
    with watch.time("sample"):
        problems = draw(campaign, number)
        if teacher:
            shards = sample_teacher(campaign, teacher, problems, folder, f"{label}, sampling from the teacher")
        else:
            requests = ask(problems, prompter, workflow.sampling, f"g{number}", workflow.seed, workflow.delimiters, campaign.rates(problems))
            shards = sample_and_verify(campaign, champion, requests, problems, folder, f"{label}, sampling")
    sampled = tally(shards)
    if workflow.probing and not teacher:
        with watch.time("probe"):
            probe(campaign, workflow.probing, champion, shards, prompter, folder, f"{label}, probing")
    if workflow.rationalization and not teacher:
        with watch.time("rationalize"):
            unsolved = [problem for problem in problems if not sampled.solves[problem.id][0]]
            rationalized = rationalize(campaign, workflow.rationalization, champion, unsolved, prompter, folder, number)
    with watch.time("select"):
        probes, decode = read_probes(folder), None if teacher else decoder(champion.path)
        figures = anatomy((item.trace for item in shards.read()), workflow.moments or Moments(), decode)
        figures |= under_thinking.figures(beside(shards.read(), probes))
        selection = select(workflow.selector, beside(shards.read(), probes), problems, workflow.prompter, number)
        selection = teacher.taught(selection, shards.read(), workflow.delimiters) if teacher else rationalized.beside(selection)
        selection = decontaminate(campaign.exam, selection)
        write_records(folder / "accepted.parquet", selection.accepted, AcceptedTrace)
    return Gathered(problems, shards, sampled, selection, rationalized, figures)


def draw(campaign: Campaign, number: int) -> list[Problem]:
    """The problems of this generation: all that are below the cap of accepted traces, or a seeded draw of them."""
    cap, wanted = campaign.workflow.accepted_cap, campaign.workflow.problems_per_generation
    accepted = Counter(row.problem_id for rows in accepted_before(campaign, number) for row in rows)
    below = [problem for problem in campaign.problems if cap is None or accepted[problem.id] < cap]
    if wanted is None or wanted >= len(below):
        return below
    return random.Random(derive_seed(campaign.workflow.seed, "draw", number)).sample(below, wanted)


def accepted_before(campaign: Campaign, number: int) -> list[list[AcceptedTrace]]:
    """The accepted traces of each generation before this one, the first generation's first."""
    return [read_records(campaign.run.generation(past) / "accepted.parquet", AcceptedTrace) for past in range(1, number)]


def decontaminate(exam: ExamIndex | None, selection: Selection) -> Selection:
    """Drop what gives a held-out question away, for the reason `contaminated`."""
    if exam is None:
        return selection
    clean = exam.clean_rows(selection.accepted)
    dropped = len(selection.accepted) - len(clean)
    return Selection(tuple(clean), {**selection.drops, **({"contaminated": dropped} if dropped else {})})
