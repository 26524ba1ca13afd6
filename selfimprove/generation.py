"""One generation: its stages in order, what each leaves for the next, and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selfimprove.errors import UserError
from selfimprove.evaluation.ledger import coverage, entries
from selfimprove.records import AcceptedTrace, GenerationReport, LedgerEntry, Outcome, Selection
from selfimprove.seeds import derive_seed
from selfimprove.stages.collect import accepted_before, draw, gather
from selfimprove.stages.context import RunContext
from selfimprove.stages.evaluate import evaluate_checkpoint
from selfimprove.stages.predict_difficulty import Prediction, predict
from selfimprove.stages.rationalize import worth
from selfimprove.stages.train import take_turn
from selfimprove.stages.train_candidate import contrast, learn, practise
from selfimprove.storage.files import write_json, write_records
from selfimprove.storage.run_folder import Stopwatch

TOO_WEAK = (
    "the model is too weak for these problems as they are asked: give first_prompter (better) exemplars, sample more, take easier problems or a "
    "stronger base_model"
)
WORDLESS = "right answers came without a block of thinking: ask for one (ZeroShot, exemplars), or set the teacher's answer_after"


def base_report(context: RunContext) -> GenerationReport:
    """Generation 0: the base model's evaluation on the bare question."""
    folder = context.run.generation(0)
    if known := context.run.report(0):
        return known
    watch = Stopwatch(folder / "seconds.json")
    with watch.time("evaluate"):
        context.cluster.open("sampler", context.workflow.sampler)
        # Its libraries load while the sampler's engine starts.
        context.cluster.open("trainer", take_turn(context, context.of_generation(1).workflow.trainer))
        result = evaluate_checkpoint(context, context.base, folder / "evaluation", context.workflow.prompter, "base model, evaluation")
    report = GenerationReport(
        generation=0,
        start=context.base,
        candidate=context.base,
        score=result,
        kept=context.base,
        kept_score=result,
        why="the base model",
        counts={},
        outcomes={},
        drops={},
        seconds=watch.seconds,
        tokens={"evaluate": result.tokens},
    )
    write_json(folder / "report.json", report)
    return report


def run_generation(number: int, past: Sequence[GenerationReport], context: RunContext) -> GenerationReport:
    """Sample, verify, select, train, evaluate, and let the gate decide; a generation that is complete is only read.

    `past` holds the reports of all generations before this one, the base model's first.
    """
    context = context.of_generation(number)
    workflow, before, folder = context.workflow, past[-1], context.run.generation(number)
    if known := context.run.report(number):
        return known
    champion, watch, label = context.here(before.kept), Stopwatch(folder / "seconds.json"), f"generation {number}"

    prediction = Prediction()
    if workflow.difficulty and number > 1:
        with watch.time("predict"):
            prediction = predict(context, champion, draw(context, number), number)
    context = replace(context, predicted=prediction.rates)
    gathered = gather(context, champion, number, folder, watch)
    sampled, selection = gathered.sampled, gathered.selection
    with watch.time("select"):
        rows = [] if workflow.reinforcement else assemble_rows(context, number, selection, sampled.outcomes)
        write_records(folder / "rows.parquet", rows, AcceptedTrace)
        pairs = contrast(context, selection.accepted, gathered.shards, number)
    with watch.time("train"):
        start = champion if workflow.start_from == "champion" else context.base
        if workflow.reinforcement:
            trained = practise(context, start, gathered.problems, sampled.solves, gathered.shards, number)
        else:
            trained = learn(context, start, rows, pairs, gathered.shards, number)
        context.tracker.training(number, trained.steps)
    candidate = trained.checkpoint
    with watch.time("evaluate"):
        result = evaluate_checkpoint(context, candidate, folder / "evaluation", workflow.prompter, f"{label}, evaluation")
    value: dict[str, float] = {}
    if workflow.rationalization and workflow.rationalization.ablation:
        with watch.time("ablate"):
            value = worth(context, start, rows, result, folder, number)
    solves = [*entries(sampled.solves, "train", number), *entries(result.solved, "eval", number)]
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
            "falsely_accepted": gathered.falsely_accepted,
            **({"hopeless": gathered.search.hopeless} if gathered.search else {}),
            "problems": len(sampled.solves),
            "most_samples": max((samples for _, samples in sampled.solves.values()), default=0),
            **trained.counts,
        },
        outcomes=sampled.outcomes,
        drops=selection.drops,
        seconds=watch.seconds,
        tokens={
            "sample": sampled.tokens,
            **({"saved": gathered.search.saved} if gathered.search else {}),
            "train": trained.steps[-1].tokens,
            "evaluate": result.tokens,
        },
        coverage=coverage([report.score for report in past], before.kept_score, result),
        anatomy=gathered.anatomy,
        rationalization=gathered.rationalized.figures(rows) | value,
        difficulty=prediction.figures(sampled.solves),
        spent=sampled.spent,
    )
    write_json(folder / "report.json", report)
    return report


def assemble_rows(context: RunContext, number: int, selection: Selection, outcomes: dict[str, int]) -> list[AcceptedTrace]:
    """The rows to train on, from this generation's accepted traces and the earlier ones.

    Raises:
        UserError: not a single trace was accepted so far.
    """
    rows = context.workflow.mixture.rows([*accepted_before(context, number), selection.accepted], derive_seed(context.workflow.seed, number))
    if not rows:
        found = ", ".join(f"{count} {reason}" for reason, count in (selection.drops or outcomes).items() if count)
        raise UserError(f"generation {number}: no trace was accepted ({found}); {WORDLESS if 'missing' in selection.drops else TOO_WEAK}")
    return rows
