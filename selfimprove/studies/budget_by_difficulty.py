"""The champion of a run, evaluated with thinking budgets by predicted difficulty and with one budget for all: taken up where it stopped."""

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
from selfimprove.protocols import Cluster, Progress, Tracker
from selfimprove.records import Checkpoint, Request
from selfimprove.records.budgets import Budget, BudgetByDifficulty
from selfimprove.reports.budget_curve import plot
from selfimprove.seeds import derive_seed
from selfimprove.stages.context import RunContext, of_finished_run
from selfimprove.stages.predict_difficulty import Prediction, predict_for
from selfimprove.stages.sample import ask, sample
from selfimprove.storage.files import write_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.studies.budget_curve import attempts, by_problem, figures
from selfimprove.tracking.figures import legal
from selfimprove.workflow.workflow import Workflow

ONE_FOR_ALL = "one budget for all"
BY_LOT = "by lot"
"""The control of a rule: the same budgets, dealt to the problems by lot. What it gains comes of the spread, not of the prediction."""

LOTS = 4
"""How often lots are drawn."""

Limits = Mapping[str, Sequence[int]]
"""The most thinking tokens of each problem, by its id; where there are several, each of them counts the same."""


@dataclass(frozen=True)
class ThinkingByDifficulty:
    """What came of it; as `result.json` has it."""

    out_of_fold: Reliability
    """Of the model of difficulty, on what it was fitted to."""
    held_out: Reliability
    """Of its predictions for the evaluation, beside what the longest of the budgets for all solves."""
    curves: tuple[BudgetCurve, ...]
    """One budget for all, then each rule, then its control; a point for each budget or mean."""
    differences: Mapping[str, Sequence[EqualTokens]]
    """Each rule, and its control, against one budget for all at equal mean tokens; in the order of the curve's points."""


def thinking_by_difficulty(
    run: RunFolder,
    workflow: Workflow,
    limits: Sequence[int],
    rules: Mapping[str, Sequence[BudgetByDifficulty]],
    cluster: Cluster,
    tracker: Tracker,
    progress: Progress,
) -> ThinkingByDifficulty:
    """Evaluations of the run's champion on its held-out problems, with what the model of difficulty learns from the ledgers of the whole run.

    A problem is asked once under each limit that any rule gives it, in one batch for all; a rule is then judged by the traces under its limits.

    Args:
        run: where the champion is; everything goes into its folder `thinking-by-difficulty/`.
        workflow: that of the run; its `difficulty`, or the default one.
        limits: budgets for all, the most thinking tokens; from below what a rule may choose to above.
        rules: budgets by difficulty, several of each kind, by the kind's name. They have the same other limits.

    Raises:
        UserError: there is no champion, too little was sampled to predict from, its tokens cannot be counted, rules differ in their other limits,
            or the folder holds what other settings left.
    """
    rest = {rule.otherwise for several in rules.values() for rule in several}
    if len(rest) != 1:
        raise UserError("the rules must have the same `otherwise`: only the most thinking tokens are compared")
    context, folder = of_finished_run(run, workflow, cluster, tracker, progress), run.root / "thinking-by-difficulty"
    model, problems = context.base, context.eval_problems
    past = range(1, run.reports()[-1].generation + 1)
    difficulty = workflow.difficulty or DifficultyModel()
    prediction = predict_for(context, difficulty, model, problems, past, folder / "difficulty", "predicting difficulty")
    if prediction.out_of_fold is None:
        raise UserError(f"{run.root} has sampled fewer than {difficulty.fewest} problems: too few for a model of difficulty")

    settings = _settings(workflow, prediction, sorted(set(limits)), rules)
    found = _evaluate(context, model, rest.pop(), settings)
    measured = {kind: [Setting(name, 0, None, _under(limits_of, found)) for name, limits_of in several] for kind, several in settings.items()}
    result = _result(model.id, prediction, measured, workflow.seed)
    files = [folder / "result.json", folder / "result.png"]
    write_json(files[0], result)
    plot(result.curves, files[1])
    tracker.measured("thinking_by_difficulty", told(result), [*files, folder / "difficulty" / "reliability.png"], run.root)
    return result


def _settings(
    workflow: Workflow, prediction: Prediction, limits: Sequence[int], rules: Mapping[str, Sequence[BudgetByDifficulty]]
) -> dict[str, list[tuple[str, Limits]]]:
    """The limits of every setting, by its kind; each setting with its name."""
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
    """The attempts at each problem under each limit that any setting gives it."""
    decode = decoder(model.path)
    if decode is None:
        raise UserError(f"{model.path} has no tokenizer.json that can be read: its thinking tokens cannot be counted")
    workflow, asked = context.workflow, dict[int, Sequence[Request]]()
    wanted = {(problem, most) for several in settings.values() for _, chosen in several for problem, every in chosen.items() for most in every}
    longest = max(most for _, most in wanted)
    for limit in sorted({most for _, most in wanted}):
        concerned = [problem for problem in context.eval_problems if (problem.id, limit) in wanted]
        # Room for the longest thinking, and as much again as the evaluation gives a whole output.
        decoding = replace(workflow.eval_sampling, budget=replace(rest, max_tokens=limit), max_tokens=workflow.eval_sampling.max_tokens + longest)
        asked[limit] = ask(context, concerned, f"thinking {limit}", sampling=decoding)
    requests = [request for several in asked.values() for request in several]
    folder = context.run.root / "thinking-by-difficulty"
    shards = sample(context, model, requests, context.eval_problems, folder, "thinking by difficulty")
    found = attempts(shards, decode)
    return {(problem, limit): several for limit, those in asked.items() for problem, several in by_problem(those, found).items()}


def _under(limits: Limits, found: Mapping[tuple[str, int], Sequence[Attempt]]) -> dict[str, list[Attempt]]:
    """The attempts at each problem under its limits."""
    return {problem: [one for most in every for one in found[problem, most]] for problem, every in limits.items()}


def _result(checkpoint_id: str, prediction: Prediction, measured: Mapping[str, Sequence[Setting]], seed: int) -> ThinkingByDifficulty:
    assert prediction.out_of_fold is not None
    for_all = measured[ONE_FOR_ALL]
    longest = for_all[-1].attempts
    came = [Forecast(prediction.rates[name], sum(one.right for one in several), len(several)) for name, several in longest.items()]
    return ThinkingByDifficulty(
        out_of_fold=prediction.out_of_fold,
        held_out=reliability(came),
        curves=tuple(curve(kind, checkpoint_id, several, seed) for kind, several in measured.items()),
        differences={
            kind: [at_equal_tokens(setting, for_all, seed) for setting in several] for kind, several in measured.items() if kind != ONE_FOR_ALL
        },
    )


def told(result: ThinkingByDifficulty) -> list[tuple[dict[str, float], int]]:
    """What a tracker is told, each with its step: accuracies and differences at the mean thinking tokens, rounded; how good predictions were at 0."""
    points = [
        ({f"{legal(one.method)}_accuracy": value["accuracy"]}, step) for one in result.curves for value, step in figures([one]) if "accuracy" in value
    ]
    gained = [
        ({f"{legal(kind)}_{name}": getattr(one, name) for name in ("difference", "low", "high")}, round(one.thinking_tokens))
        for kind, several in result.differences.items()
        for one in several
    ]
    quality = {"brier": result.held_out.brier, "base_brier": result.held_out.base_brier, "auroc": result.held_out.auroc}
    return [*points, *gained, ({name: value for name, value in quality.items() if value is not None}, 0)]
