"""Evaluates the champion of a finished run at many thinking budgets; resumable, kept in the run folder, logged to the tracker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from selfimprove.checkpoints.tokens import decoder
from selfimprove.errors import UserError
from selfimprove.evaluation.budget_curve import Attempt, BudgetCurve, Setting, curve, fitting
from selfimprove.records import Outcome, Request
from selfimprove.records.budgets import Budget
from selfimprove.reports.budget_curve import plot
from selfimprove.sampling.sampling import Sampling
from selfimprove.stages.context import RunContext
from selfimprove.stages.obstacles import CUT, obstacle
from selfimprove.stages.sample import ask, sample
from selfimprove.storage.files import write_json
from selfimprove.storage.shards import JudgedShards
from selfimprove.thinking.positions import Decode, thinking_tokens

NO_LIMIT = (0, None)
"""Minimum and maximum number of thinking tokens without a budget."""


def budget_curve(context: RunContext, budgets: Mapping[str, Budget | None], rejection: Sampling) -> tuple[BudgetCurve, BudgetCurve]:
    """Two budget curves of the run's champion on the evaluation problems: by budget forcing, and by rejection sampling as the baseline.

    Traces, verdicts, `curve.json` and `curve.png` go into the run's folder `budget-curve/`.

    Args:
        context: context of the finished run, from `open_study`.
        budgets: the budget of each evaluation, by name; None for the model's own length. One batch samples them all.
        rejection: sampling of the baseline, without a budget; its `max_tokens` applies to the evaluations too.

    Raises:
        UserError: tokens cannot be counted, or the folder was made with other settings.
    """
    workflow, run, model, problems = context.workflow, context.run, context.base, context.eval_problems
    decode = decoder(model.path)
    if decode is None:
        raise UserError(f"{model.path} has no readable tokenizer.json: thinking tokens cannot be counted")

    def asked(decoding: Sampling, name: str) -> Sequence[Request]:
        return ask(context, problems, name, sampling=decoding)

    evaluation = replace(workflow.eval_sampling, max_tokens=rejection.max_tokens)
    evaluations = {name: asked(replace(evaluation, budget=budget), f"budget {name}") for name, budget in budgets.items()}
    baseline = asked(replace(rejection, budget=None), "rejection")
    requests = [*(request for several in evaluations.values() for request in several), *baseline]
    shards = sample(context, model, requests, problems, run.budget_curve, "budget curve")

    say_what_was_cut(context, {**evaluations, "rejection sampling": baseline}, shards, rejection.max_tokens)
    found = attempts(shards, decode)
    forced = [Setting(name, *tokens_asked(budgets[name]), by_problem(several, found)) for name, several in evaluations.items()]
    free = by_problem(baseline, found)
    limits = {name: tokens_asked(budget) for name, budget in budgets.items() if tokens_asked(budget) != NO_LIMIT} | {"own length": NO_LIMIT}
    curves = (
        curve("budget forcing", model.id, forced, workflow.seed),
        curve("rejection sampling", model.id, [Setting(name, *limit, fitting(free, *limit)) for name, limit in limits.items()], workflow.seed),
    )
    files = [run.budget_curve / "curve.json", run.budget_curve / "curve.png"]
    write_json(files[0], curves)
    plot(curves, files[1])
    context.tracker.log_figures("budget_curve", metrics(curves), files)
    return curves


def say_what_was_cut(context: RunContext, requests: Mapping[str, Sequence[Request]], shards: JudgedShards, limit: int) -> None:
    """Say for which settings traces were still thinking when they reached the limit of tokens: their accuracy says nothing about the budget."""
    cut = {item.trace.id for item in shards.read() if obstacle(item) == CUT}
    for name, several in requests.items():
        if count := sum(request.id in cut for request in several):
            context.progress.say(
                f"budget curve, {name}: {count:,} of {len(several):,} traces {CUT}; raise max_tokens={limit} of the baseline's sampling"
            )


def attempts(shards: JudgedShards, decode: Decode) -> dict[str, Attempt]:
    """Correctness and thinking tokens of each trace, by its id."""
    return {item.trace.id: Attempt(item.verdict.outcome is Outcome.CORRECT, thinking_tokens(item.trace, decode)) for item in shards.read()}


def by_problem(requests: Sequence[Request], found: Mapping[str, Attempt]) -> dict[str, list[Attempt]]:
    """Attempts at these requests, by problem."""
    several: defaultdict[str, list[Attempt]] = defaultdict(list)
    for request in requests:
        several[request.problem_id].append(found[request.id])
    return dict(several)


def tokens_asked(budget: Budget | None) -> tuple[int, int | None]:
    """Minimum and maximum number of thinking tokens; a budget of thoughts or of continuations limits no tokens."""
    return (budget.min_tokens, budget.max_tokens) if budget else NO_LIMIT


def metrics(curves: Sequence[BudgetCurve]) -> list[tuple[dict[str, float], int]]:
    """Metrics for the tracker, each with its step: accuracies at their mean thinking tokens, rounded; control, scaling and performance at 0.

    The names of the baseline begin with `rejection_`.
    """
    found: list[tuple[dict[str, float], int]] = []
    for one in curves:
        prefix = "rejection_" if one.method == "rejection sampling" else ""
        for point in one.points:
            values = dict(zip(("accuracy", "accuracy_low", "accuracy_high"), (point.accuracy, *point.interval), strict=True))
            if point.thinking_tokens is not None:
                found.append(({prefix + key: value for key, value in values.items()}, round(point.thinking_tokens)))
        low, high = one.scaling_interval or (None, None)
        three = {"control": one.control, "scaling": one.scaling, "scaling_low": low, "scaling_high": high, "performance": one.performance}
        found.append(({prefix + key: value for key, value in three.items() if value is not None}, 0))
    return found
