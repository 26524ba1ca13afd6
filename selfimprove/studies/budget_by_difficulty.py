"""Evaluates the champion of a finished run with thinking budgets by predicted difficulty, and with one budget for all problems; resumable."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from selfimprove.checkpoints.tokens import decoder
from selfimprove.difficulty.model import DifficultyModel
from selfimprove.errors import UserError
from selfimprove.evaluation.budget_curve import Attempt, BudgetCurve, Setting, curve
from selfimprove.evaluation.equal_thinking import EqualTokens, at_equal_tokens
from selfimprove.evaluation.reliability import Forecast, Reliability, reliability
from selfimprove.records import Checkpoint, Request
from selfimprove.records.budgets import Budget, BudgetByDifficulty
from selfimprove.reports.budget_curve import plot
from selfimprove.seeds import derive_seed
from selfimprove.stages.context import RunContext
from selfimprove.stages.predict_difficulty import Prediction, predict_for
from selfimprove.stages.sample import ask, sample
from selfimprove.storage.files import write_json
from selfimprove.studies.budget_curve import attempts, by_problem
from selfimprove.studies.budget_curve import metrics as curve_metrics
from selfimprove.tracking.figures import legal
from selfimprove.workflow.workflow import Workflow

ONE_FOR_ALL = "one budget for all"
BY_LOT = "by lot"
"""The control of a rule: the same budgets, assigned to the problems by lot. What it gains comes from their spread, not from the prediction."""

LOTS = 4
"""Number of random assignments."""

Limits = Mapping[str, Sequence[int]]
"""Maximum number of thinking tokens of each problem, by its id; several limits count equally."""


@dataclass(frozen=True)
class ThinkingByDifficulty:
    """The result, as in `result.json`."""

    out_of_fold: Reliability
    """Quality of the difficulty model on the problems that it was fitted to, each predicted without its own samples."""
    evaluation: Reliability
    """Quality of its predictions for the evaluation problems, compared with their solve rates under the longest budget for all."""
    curves: tuple[BudgetCurve, ...]
    """One budget for all, then each rule followed by its control; one point for each budget or mean."""
    differences: Mapping[str, Sequence[EqualTokens]]
    """Each rule and its control compared with one budget for all at equal mean tokens, in the order of the curve's points."""


def thinking_by_difficulty(context: RunContext, limits: Sequence[int], rules: Mapping[str, Sequence[BudgetByDifficulty]]) -> ThinkingByDifficulty:
    """Evaluate the run's champion under budgets by difficulty, which a difficulty model predicts from the ledgers of the whole run.

    One batch asks every problem once under each limit that any rule gives it. A rule is then scored by the traces under its limits. Everything goes
    into the run's folder `thinking-by-difficulty/`.

    Args:
        context: context of the finished run, from `open_study`. The workflow's `difficulty`, or else the default model, predicts.
        limits: budgets for all problems, in thinking tokens; they should reach below and above the limits of the rules.
        rules: budgets by difficulty, several of each kind, by the name of the kind. Their other limits must be the same.

    Raises:
        UserError: too few problems were sampled to predict from, tokens cannot be counted, the rules differ in their other
            limits, or the folder was made with other settings.
    """
    rest = {rule.otherwise for several in rules.values() for rule in several}
    if len(rest) != 1:
        raise UserError("the rules must have the same `otherwise`: only limits of thinking tokens are compared")
    workflow, run, model, problems = context.workflow, context.run, context.base, context.eval_problems
    folder = run.root / "thinking-by-difficulty"
    past = range(1, run.reports()[-1].generation + 1)
    difficulty = workflow.difficulty or DifficultyModel()
    prediction = predict_for(context, difficulty, model, problems, past, folder / "difficulty", "predicting difficulty")
    if prediction.out_of_fold is None:
        raise UserError(f"{run.root} has sampled fewer than {difficulty.fewest} problems: too few for a difficulty model")

    settings = _settings(workflow, prediction, sorted(set(limits)), rules)
    found = _evaluate(context, model, rest.pop(), settings)
    measured = {kind: [Setting(name, 0, None, _under(limits_of, found)) for name, limits_of in several] for kind, several in settings.items()}
    result = _result(model.id, prediction, measured, workflow.seed)
    files = [folder / "result.json", folder / "result.png"]
    write_json(files[0], result)
    plot(result.curves, files[1])
    context.tracker.log_figures("thinking_by_difficulty", metrics(result), [*files, folder / "difficulty" / "reliability.png"])
    return result


def _settings(
    workflow: Workflow, prediction: Prediction, limits: Sequence[int], rules: Mapping[str, Sequence[BudgetByDifficulty]]
) -> dict[str, list[tuple[str, Limits]]]:
    """Name and limits of every setting, by kind."""
    names, lots = sorted(prediction.rates), random.Random(derive_seed(workflow.seed, BY_LOT))
    drawn = [lots.sample(names, len(names)) for _ in range(LOTS)]
    settings: dict[str, list[tuple[str, Limits]]] = {ONE_FOR_ALL: [(f"at most {most}", dict.fromkeys(names, (most,))) for most in limits]}
    for kind, several in rules.items():
        settings[kind], settings[f"{kind}, {BY_LOT}"] = [], []
        for rule in several:
            given = rule.limits(prediction.rates)
            settings[kind].append((_name(rule), {problem: (most,) for problem, most in given.items()}))
            dealt = {problem: [given[lot[place]] for lot in drawn] for place, problem in enumerate(names)}
            settings[f"{kind}, {BY_LOT}"].append((_name(rule), dealt))
    return settings


def _name(rule: BudgetByDifficulty) -> str:
    return f"{rule.easy}–{rule.hard}" if rule.mean is None else f"{rule.easy}–{rule.hard} ({rule.mean:g})"


def _evaluate(
    context: RunContext, model: Checkpoint, rest: Budget, settings: Mapping[str, Sequence[tuple[str, Limits]]]
) -> dict[tuple[str, int], list[Attempt]]:
    """Attempts at each problem under each limit that any setting gives it."""
    decode = decoder(model.path)
    if decode is None:
        raise UserError(f"{model.path} has no readable tokenizer.json: thinking tokens cannot be counted")
    workflow, asked = context.workflow, dict[int, Sequence[Request]]()
    wanted = {(problem, most) for several in settings.values() for _, chosen in several for problem, every in chosen.items() for most in every}
    longest = max(most for _, most in wanted)
    for limit in sorted({most for _, most in wanted}):
        concerned = [problem for problem in context.eval_problems if (problem.id, limit) in wanted]
        # Room for the longest thinking, plus what the evaluation gives a whole output.
        decoding = replace(workflow.eval_sampling, budget=replace(rest, max_tokens=limit), max_tokens=workflow.eval_sampling.max_tokens + longest)
        asked[limit] = ask(context, concerned, f"thinking {limit}", sampling=decoding)
    requests = [request for several in asked.values() for request in several]
    folder = context.run.root / "thinking-by-difficulty"
    shards = sample(context, model, requests, context.eval_problems, folder, "thinking by difficulty")
    found = attempts(shards, decode)
    return {(problem, limit): several for limit, those in asked.items() for problem, several in by_problem(those, found).items()}


def _under(limits: Limits, found: Mapping[tuple[str, int], Sequence[Attempt]]) -> dict[str, list[Attempt]]:
    """Attempts at each problem under its limits."""
    return {problem: [one for most in every for one in found[problem, most]] for problem, every in limits.items()}


def _result(checkpoint_id: str, prediction: Prediction, measured: Mapping[str, Sequence[Setting]], seed: int) -> ThinkingByDifficulty:
    assert prediction.out_of_fold is not None
    for_all = measured[ONE_FOR_ALL]
    longest = for_all[-1].attempts
    forecasts = [Forecast(prediction.rates[name], sum(one.right for one in several), len(several)) for name, several in longest.items()]
    return ThinkingByDifficulty(
        out_of_fold=prediction.out_of_fold,
        evaluation=reliability(forecasts),
        curves=tuple(curve(kind, checkpoint_id, several, seed) for kind, several in measured.items()),
        differences={
            kind: [at_equal_tokens(setting, for_all, seed) for setting in several] for kind, several in measured.items() if kind != ONE_FOR_ALL
        },
    )


def metrics(result: ThinkingByDifficulty) -> list[tuple[dict[str, float], int]]:
    """Metrics for the tracker, each with its step: accuracies and differences at their mean thinking tokens, rounded; forecast quality at 0."""
    points = [
        ({f"{legal(one.method)}_accuracy": value["accuracy"]}, step)
        for one in result.curves
        for value, step in curve_metrics([one])
        if "accuracy" in value
    ]
    gained = [
        ({f"{legal(kind)}_{name}": getattr(one, name) for name in ("difference", "low", "high")}, round(one.thinking_tokens))
        for kind, several in result.differences.items()
        for one in several
    ]
    quality = {"brier": result.evaluation.brier, "base_brier": result.evaluation.base_brier, "auroc": result.evaluation.auroc}
    return [*points, *gained, ({name: value for name, value in quality.items() if value is not None}, 0)]
