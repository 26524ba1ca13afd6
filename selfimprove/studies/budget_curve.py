"""The champion of a run, evaluated at many thinking budgets: taken up where it stopped, kept in the run's folder, told to the tracker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from selfimprove.checkpoints.tokens import decoder
from selfimprove.errors import UserError
from selfimprove.evaluation.budget_curve import Attempt, BudgetCurve, Setting, curve, fitting
from selfimprove.protocols import Cluster, Progress, Tracker
from selfimprove.records import Outcome, Request
from selfimprove.records.budgets import Budget
from selfimprove.reports.budget_curve import plot
from selfimprove.sampling.sampling import Sampling
from selfimprove.stages.context import of_finished_run
from selfimprove.stages.sample import ask, sample
from selfimprove.storage.files import write_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import JudgedShards
from selfimprove.thinking.positions import Decode, thinking_tokens
from selfimprove.workflow.workflow import Workflow

NO_LIMIT = (0, None)
"""The least and the most thinking tokens where none are asked for."""


def sweep(
    run: RunFolder,
    workflow: Workflow,
    budgets: Mapping[str, Budget | None],
    rejection: Sampling,
    cluster: Cluster,
    tracker: Tracker,
    progress: Progress,
) -> tuple[BudgetCurve, BudgetCurve]:
    """Two budget curves of the run's champion on its held-out problems: by budget forcing, and by rejection sampling as the baseline.

    Args:
        run: where the champion is; traces, verdicts, `curve.json` and `curve.png` go into its folder `budget-curve/`.
        workflow: that of the run: its prompter, sampler, verifier and evaluation.
        budgets: one evaluation each, by a name of its own; None for the model's own length. All of them are sampled in one batch.
        rejection: how the baseline samples, without a budget; its `max_tokens` holds for the evaluations too.

    Raises:
        UserError: there is no champion, its tokens cannot be counted, or the folder holds what other settings left.
    """
    context = of_finished_run(run, workflow, cluster, tracker, progress)
    model, problems = context.base, context.eval_problems
    decode = decoder(model.path)
    if decode is None:
        raise UserError(f"{model.path} has no tokenizer.json that can be read: its thinking tokens cannot be counted")

    def asked(decoding: Sampling, name: str) -> Sequence[Request]:
        return ask(context, problems, name, sampling=decoding)

    evaluation = replace(workflow.eval_sampling, max_tokens=rejection.max_tokens)
    evaluations = {name: asked(replace(evaluation, budget=budget), f"budget {name}") for name, budget in budgets.items()}
    baseline = asked(replace(rejection, budget=None), "rejection")
    requests = [*(request for several in evaluations.values() for request in several), *baseline]
    shards = sample(context, model, requests, problems, run.budget_curve, "budget curve")

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
    tracker.measured("budget_curve", figures(curves), files, run.root)
    return curves


def attempts(shards: JudgedShards, decode: Decode) -> dict[str, Attempt]:
    """What counts of each trace, by its id."""
    return {item.trace.id: Attempt(item.verdict.outcome is Outcome.CORRECT, thinking_tokens(item.trace, decode)) for item in shards.read()}


def by_problem(requests: Sequence[Request], found: Mapping[str, Attempt]) -> dict[str, list[Attempt]]:
    """The attempts that answer these requests, by problem."""
    several: defaultdict[str, list[Attempt]] = defaultdict(list)
    for request in requests:
        several[request.problem_id].append(found[request.id])
    return dict(several)


def tokens_asked(budget: Budget | None) -> tuple[int, int | None]:
    """The least and the most thinking tokens; a budget of thoughts or of continuations limits no tokens."""
    return (budget.min_tokens, budget.max_tokens) if budget else NO_LIMIT


def figures(curves: Sequence[BudgetCurve]) -> list[tuple[dict[str, float], int]]:
    """What a tracker is told, each with its step: accuracy at the mean thinking tokens, rounded; the three figures at 0.

    Those of the baseline begin with `rejection_`.
    """
    told: list[tuple[dict[str, float], int]] = []
    for one in curves:
        prefix = "rejection_" if one.method == "rejection sampling" else ""
        for point in one.points:
            values = dict(zip(("accuracy", "accuracy_low", "accuracy_high"), (point.accuracy, *point.interval), strict=True))
            if point.thinking_tokens is not None:
                told.append(({prefix + key: value for key, value in values.items()}, round(point.thinking_tokens)))
        low, high = one.scaling_interval or (None, None)
        three = {"control": one.control, "scaling": one.scaling, "scaling_low": low, "scaling_high": high, "performance": one.performance}
        told.append(({prefix + key: value for key, value in three.items() if value is not None}, 0))
    return told
