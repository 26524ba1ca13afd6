"""One generation: its stages in order, what each leaves for the next, and the report."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from selfimprove.candidates import contrast, learn, practise
from selfimprove.checkpoints.tokens import decoder
from selfimprove.errors import UserError
from selfimprove.evaluation.ledger import coverage, entries
from selfimprove.probing import Probes, beside, probe
from selfimprove.records import AcceptedTrace, GenerationReport, LedgerEntry, Outcome, Problem, Selection
from selfimprove.resumable import Campaign, sample_and_verify, take_exam, take_turn, tally
from selfimprove.seeds import derive_seed
from selfimprove.selection.contamination import ExamIndex
from selfimprove.stages import ask, select
from selfimprove.storage.files import read_json, read_records, write_json, write_records
from selfimprove.storage.run_folder import Stopwatch
from selfimprove.thinking import under_thinking
from selfimprove.thinking.anatomy import anatomy
from selfimprove.thinking.moments import Moments


def base_report(campaign: Campaign) -> GenerationReport:
    """Generation 0: the base model's exam on the bare question."""
    folder = campaign.run.generation(0)
    if (folder / "report.json").exists():
        return read_json(folder / "report.json", GenerationReport)
    watch = Stopwatch(folder / "seconds.json")
    with watch.time("examine"):
        campaign.cluster.open("sampler", campaign.workflow.sampler)
        # Its libraries load while the sampler's engine starts.
        campaign.cluster.open("trainer", take_turn(campaign, campaign.of_generation(1).workflow.trainer))
        result = take_exam(campaign, campaign.base, folder / "exam", campaign.workflow.prompter, "base model, exam")
    report = GenerationReport(
        generation=0,
        start=campaign.base,
        candidate=campaign.base,
        score=result,
        kept=campaign.base,
        kept_score=result,
        why="the base model",
        counts={},
        outcomes={},
        drops={},
        seconds=watch.seconds,
        tokens={"examine": result.tokens},
    )
    write_json(folder / "report.json", report)
    return report


def run_generation(number: int, past: Sequence[GenerationReport], campaign: Campaign) -> GenerationReport:
    """Sample, verify, select, train, examine, and let the gate decide; a generation that is complete is only read.

    `past` holds the reports of all generations before this one, the base model's first.
    """
    campaign = campaign.of_generation(number)
    workflow, before, folder = campaign.workflow, past[-1], campaign.run.generation(number)
    if (folder / "report.json").exists():
        return read_json(folder / "report.json", GenerationReport)
    champion, watch, label = before.kept, Stopwatch(folder / "seconds.json"), f"generation {number}"

    with watch.time("sample"):
        problems = draw(campaign, number)
        prompter = (workflow.first_prompter if number == 1 else None) or workflow.prompter
        requests = ask(problems, prompter, workflow.sampling, f"g{number}", workflow.seed, workflow.delimiters)
        shards = sample_and_verify(campaign, champion, requests, problems, folder, f"{label}, sampling")
    probes: Probes = {}
    if workflow.probing:
        with watch.time("probe"):
            probes = probe(campaign, workflow.probing, champion, shards, prompter, folder, f"{label}, probing")
    with watch.time("select"):
        sampled = tally(shards)
        figures = anatomy((item.trace for item in shards.read()), workflow.moments or Moments(), decoder(champion.path))
        figures |= under_thinking.figures(beside(shards.read(), probes))
        selection = decontaminate(campaign.exam, select(workflow.selector, beside(shards.read(), probes), problems, workflow.prompter, number))
        write_records(folder / "accepted.parquet", selection.accepted, AcceptedTrace)
        rows = [] if workflow.reinforcement else assemble_rows(campaign, number, selection, sampled.outcomes)
        write_records(folder / "rows.parquet", rows, AcceptedTrace)
        pairs = contrast(campaign, selection.accepted, shards, number)
    with watch.time("train"):
        start = champion if workflow.start_from == "champion" else campaign.base
        if workflow.reinforcement:
            trained = practise(campaign, start, problems, sampled.solves, shards, number)
        else:
            trained = learn(campaign, start, rows, pairs, shards, number)
        campaign.tracker.training(number, trained.steps)
    candidate = trained.checkpoint
    with watch.time("examine"):
        result = take_exam(campaign, candidate, folder / "exam", workflow.prompter, f"{label}, exam")
    solves = [*entries(sampled.solves, "train", number), *entries(result.solved, "held_out", number)]
    write_records(folder / "ledger.parquet", solves, LedgerEntry)

    decision = workflow.gate.decide(before.kept_score, result)
    report = GenerationReport(
        generation=number,
        start=champion,
        candidate=candidate,
        score=result,
        kept=candidate if decision.promote else champion,
        kept_score=result if decision.promote else before.kept_score,
        why=decision.why,
        counts={
            "sampled": sum(sampled.outcomes.values()),
            "verified": sampled.outcomes[Outcome.CORRECT],
            "accepted": len(selection.accepted),
            "distinct": len({(row.problem_id, row.completion) for row in selection.accepted}),
            **trained.counts,
        },
        outcomes=sampled.outcomes,
        drops=selection.drops,
        seconds=watch.seconds,
        tokens={"sample": sampled.tokens, "train": trained.steps[-1].tokens, "examine": result.tokens},
        coverage=coverage([report.score for report in past], before.kept_score, result),
        anatomy=figures,
    )
    write_json(folder / "report.json", report)
    return report


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


def assemble_rows(campaign: Campaign, number: int, selection: Selection, outcomes: dict[str, int]) -> list[AcceptedTrace]:
    """The rows to train on, from this generation's accepted traces and the earlier ones.

    Raises:
        UserError: not a single trace was accepted so far.
    """
    rows = campaign.workflow.mixture.rows([*accepted_before(campaign, number), selection.accepted], derive_seed(campaign.workflow.seed, number))
    if not rows:
        found = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items() if count)
        raise UserError(
            f"generation {number}: no trace was accepted ({found}); the model is too weak for these problems as they are asked: "
            "give first_prompter (better) exemplars, sample more, take easier problems or a stronger base_model"
        )
    return rows
