"""One generation: its stages in order, what each leaves for the next, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from selfimprove.cluster.hand_over import left_on_gpu
from selfimprove.evaluation.ledger import coverage, entries
from selfimprove.evaluation.levels import by_level
from selfimprove.records import GenerationCounts, GenerationReport, GuardScore, LedgerEntry, Outcome, Score, Stage
from selfimprove.selection.reflection import CONFIRMED, REVISED
from selfimprove.stages.ahead import sampling_ahead
from selfimprove.stages.ask_again import ablate
from selfimprove.stages.baselines import few_shot
from selfimprove.stages.choose import best, try_candidates
from selfimprove.stages.collect import OFF_POLICY, Collected, collect
from selfimprove.stages.context import RunContext
from selfimprove.stages.draw import draw, level_of
from selfimprove.stages.evaluate import evaluate
from selfimprove.stages.first_attempts import first_attempts
from selfimprove.stages.general import weighted
from selfimprove.stages.guards import evaluate_guards
from selfimprove.stages.measure_drift import measure_drift, require_same_text
from selfimprove.stages.predict_difficulty import Prediction, predict
from selfimprove.stages.propose import Proposed, propose
from selfimprove.stages.retain import retain
from selfimprove.stages.thinking_off import evaluate_thinking_off
from selfimprove.stages.train import TOO_LONG
from selfimprove.stages.train_candidate import Trained, pair_wrong_traces, train_candidate
from selfimprove.stages.training_rows import TrainingRows, training_rows
from selfimprove.stages.verify_again import verify_again
from selfimprove.storage.averaged import TRAINED, candidate_folder
from selfimprove.storage.files import write_json, write_records
from selfimprove.storage.stopwatch import Stopwatch
from selfimprove.workflow.workflow import Workflow


def evaluate_base(context: RunContext) -> GenerationReport:
    """Generation 0: the base model's evaluation on the bare question, and with exemplars where generation 1 gets them."""
    folder = context.run.generation(0)
    if report := context.run.report(0):
        require_same_text(context)
        verify_again(context, report.candidate.id, folder / "evaluation", "base model, evaluation")
    else:
        report = _evaluated_base(context)
    context.tracker.log_generation(report, folder)
    if (baseline := few_shot(context)) is not None:
        context.tracker.log_baseline("few_shot", baseline)
    return report


def _evaluated_base(context: RunContext) -> GenerationReport:
    folder, base = context.run.generation(0), context.base
    watch, trainer = Stopwatch(folder / "seconds.json"), context.of_generation(1).workflow.trainer
    with watch.time(Stage.EVALUATE):
        context.cluster.open("sampler", context.workflow.sampler)
        # Its libraries load while the sampler's engine starts.
        context.cluster.prepare("trainer", trainer)
        result = evaluate(context, base, folder / "evaluation", "base model, evaluation")
        attempts = first_attempts(context, folder / "evaluation")
        guards = evaluate_guards(context, base, folder, "base model")
        off = evaluate_thinking_off(context, base, folder, "base model")
    drift = measure_drift(context, base, folder, trainer, watch)
    report = GenerationReport(
        generation=0,
        start=base,
        candidate=base,
        score=result,
        kept=base,
        kept_score=result,
        why="the base model",
        outcomes={},
        drops={},
        seconds=watch.seconds,
        tokens={Stage.EVALUATE: _asked_tokens(result, guards, off)},
        guards=guards,
        thinking_off=off,
        drift=drift,
        gpu_memory_left=watch.gpu_memory_left,
        first_attempts=attempts,
        levels=by_level(result.solved, context.eval_problems),
    )
    write_json(folder / "report.json", report)
    return report


def run_generation(number: int, past: Sequence[GenerationReport], context: RunContext) -> GenerationReport:
    """Sample, verify, select, train, evaluate, and let the gate decide; a generation that is complete is only read.

    `past` holds the reports of all generations before this one, the base model's first.
    """
    folder = context.run.generation(number)
    if report := context.run.report(number):
        verify_again(context, report.candidate.id, candidate_folder(context.run, number) / "evaluation", f"generation {number}, evaluation")
    else:
        report = _ran_generation(number, past, context.of_generation(number), context.of_generation(number + 1))
    # A run that is continued reads its generations again: the link and the checkpoints follow the last one.
    if context.run.report(number + 1) is None:
        context.run.set_champion(context.here(report.kept))
        retain(context)
    context.tracker.log_generation(report, folder)
    context.progress.say(f"generation {number}: {report.why}: {report.kept.id} is champion")
    return report


def _ran_generation(number: int, past: Sequence[GenerationReport], context: RunContext, later: RunContext) -> GenerationReport:
    workflow, before, folder = context.workflow, past[-1], context.run.generation(number)
    champion, watch = context.here(before.kept), Stopwatch(folder / "seconds.json")
    writer = context.here(past[-1 - workflow.lag(number)].kept)
    for checkpoint in dict.fromkeys((champion, writer)):
        context.run.require_intact(checkpoint)

    level, proposed, prediction = level_of(context, number), Proposed(), Prediction()
    if level is not None:
        context.progress.say(f"generation {number}: learns from level {level}")
    if workflow.proposer and number >= workflow.proposer.first:
        with watch.time(Stage.PROPOSE):
            proposed = propose(context, workflow.proposer, champion, number)
    if workflow.difficulty and number > 1:
        with watch.time(Stage.PREDICT):
            prediction = predict(context, champion, draw(context, number), number)
        watch.note_left(Stage.PREDICT, left_on_gpu(context.cluster, "embedder"))
    context = replace(context, predicted=prediction.rates)
    collected = collect(context, writer, number, folder, watch, off_policy=writer.id != champion.id)
    sampled, selection = collected.sampled, collected.selection
    with watch.time(Stage.SELECT):
        start = champion if workflow.start_from == "champion" else context.base
        assembled = training_rows(context, start, collected, folder, number)
        rows = assembled.rows
        pairs = pair_wrong_traces(context, selection.accepted, collected.shards, number)
    with sampling_ahead(context, later, champion, number + 1), watch.time(Stage.TRAIN):
        trained = train_candidate(context, start, weighted(context, rows), pairs, collected, number)
        context.tracker.log_training(number, trained.steps)
    watch.note_left(Stage.TRAIN, left_on_gpu(context.cluster, "trainer"))
    tried = try_candidates(context, trained, start, past, watch, number)
    chosen = tried[name := best(tried)]
    result = chosen.score
    again = {}
    for stage, rule, asked in (("rationalization", workflow.rationalization, collected.rationalized), ("retry", workflow.retry, collected.retried)):
        again[stage] = asked.figures(rows)
        if rule and rule.ablation:
            with watch.time(Stage.ABLATE):
                again[stage] = ablate(context, again[stage], asked.origin, start, rows, tried[TRAINED].score, folder, number)
    solves = [*entries(sampled.solves, "train", number), *entries(result.solved, "eval", number)]
    write_records(folder / "ledger.parquet", solves, LedgerEntry)

    report = GenerationReport(
        generation=number,
        start=champion,
        candidate=chosen.checkpoint,
        score=result,
        kept=chosen.checkpoint if chosen.promote else champion,
        kept_score=result if chosen.promote else before.kept_score,
        why=f"{name} candidate: {chosen.why}" if tried.keys() > {name} else chosen.why,
        counts=_counts(collected, trained, workflow, assembled),
        outcomes=sampled.outcomes,
        drops={**selection.drops, **assembled.drops, **({f"pairs {TOO_LONG}": trained.long_pairs} if trained.long_pairs else {})},
        seconds=watch.seconds,
        tokens={
            **({Stage.PROPOSE: proposed.tokens} if proposed.questions else {}),
            Stage.SAMPLE: sampled.tokens,
            Stage.TRAIN: trained.steps[-1].tokens,
            Stage.EVALUATE: sum(_asked_tokens(one.score, one.guards, one.thinking_off) for one in tried.values()),
        },
        saved_tokens=collected.search.saved if collected.search else None,
        coverage=coverage([report.score for report in past], before.kept_score, result),
        level=level,
        levels=by_level(result.solved, context.eval_problems),
        guards=chosen.guards,
        thinking_off=chosen.thinking_off,
        anatomy=collected.anatomy,
        proposed=proposed.figures(selection.accepted),
        first_attempts=chosen.first_attempts,
        **again,
        difficulty=prediction.figures(sampled.solves),
        spent=sampled.spent,
        drift=chosen.drift,
        tried=tried if len(tried) > 1 else {},
        gpu_memory_left=watch.gpu_memory_left,
    )
    write_json(folder / "report.json", report)
    return report


def _asked_tokens(score: Score, guards: Mapping[str, GuardScore], off: Score | None) -> int:
    """Tokens sampled in the evaluation, by the guards and with thinking off."""
    return score.tokens + sum(one.score.tokens for one in guards.values()) + (off.tokens if off else 0)


def _counts(collected: Collected, trained: Trained, workflow: Workflow, assembled: TrainingRows) -> GenerationCounts:
    sampled, accepted = collected.sampled, collected.selection.accepted
    return GenerationCounts(
        sampled=sum(sampled.outcomes.values()),
        verified=sampled.outcomes[Outcome.CORRECT],
        accepted=len(accepted),
        distinct=len({(row.problem_id, row.completion) for row in accepted}),
        falsely_accepted=collected.falsely_accepted,
        problems=len(sampled.solves),
        most_samples=max((samples for _, samples in sampled.solves.values()), default=0),
        trained_on=trained.trained_on,
        hopeless=collected.search.hopeless if collected.search else None,
        pairs=trained.pairs,
        rollouts=trained.rollouts,
        rollouts_right=trained.rollouts_right,
        **assembled.general.counts,
        off_policy=sum(row.origin.endswith(OFF_POLICY) for row in accepted) if workflow.overlap else None,
        revised=sum(row.origin.startswith(REVISED) for row in accepted) if workflow.reflection else None,
        confirmed=sum(row.origin.startswith(CONFIRMED) for row in accepted) if workflow.reflection else None,
        direct=assembled.direct if workflow.direct_share else None,
    )
