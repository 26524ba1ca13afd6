"""Predict difficulty: solve rates by a model that is fitted to the ledgers of earlier generations."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from selfimprove.cluster.hand_over import hand_over
from selfimprove.difficulty.embedder import Features
from selfimprove.difficulty.model import DifficultyModel, FittedDifficulty, fit
from selfimprove.difficulty.plot import plot
from selfimprove.evaluation.reliability import Forecast, Reliability, reliability
from selfimprove.records import Checkpoint, DifficultyFigures, ForecastQuality, LedgerEntry, Problem
from selfimprove.records.budgets import BudgetByDifficulty
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.storage.complete import complete_or_absent
from selfimprove.storage.files import read_json, read_records, write_json
from selfimprove.storage.hashes import keep_hash
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest


@dataclass(frozen=True)
class Prediction:
    """Predictions for a generation, and the quality of such predictions."""

    rates: Mapping[str, float] = field(default_factory=dict)
    """Solve rates by problem id."""
    out_of_fold: Reliability | None = None
    """Quality on the observations that the model was fitted to, each predicted without its problem; None with too few to fit a model."""

    def figures(self, solves: Mapping[str, tuple[int, int]]) -> DifficultyFigures | None:
        """Quality of the predictions out of fold, and on what came: right samples and all samples of each problem. None without predictions."""
        came = [Forecast(self.rates[name], *solved) for name, solved in solves.items() if name in self.rates and solved[1]]
        if self.out_of_fold is None:
            return None
        return DifficultyFigures(_quality(self.out_of_fold), _quality(reliability(came)) if came else None)


def _quality(one: Reliability) -> ForecastQuality:
    return ForecastQuality(one.problems, one.brier, one.base_brier, one.auroc, one.calibration_error)


def predict(context: RunContext, champion: Checkpoint, drawn: Sequence[Problem], number: int) -> Prediction:
    """The solve rates of this generation's problems, and of the evaluation problems where their budgets depend on them."""
    part = context.workflow.difficulty
    if part is None:
        return Prediction()
    eval_problems = context.eval_problems if isinstance(context.workflow.eval_sampling.budget, BudgetByDifficulty) else ()
    folder = context.run.generation(number) / "difficulty"
    return predict_for(context, part, champion, [*drawn, *eval_problems], range(1, number), folder, f"generation {number}, predicting")


def predict_for(
    context: RunContext, part: DifficultyModel, checkpoint: Checkpoint, wanted: Sequence[Problem], past: Sequence[int], folder: Path, label: str
) -> Prediction:
    """The solve rates of `wanted` that the ledgers of the generations `past` predict for `checkpoint`.

    `folder` gets the model (`model.safetensors`: `weight` and `bias` on this checkpoint's features), `predicted.json`, and `reliability.json` with
    its plot, `reliability.png`. Rates are those of the last generation's draw, shifted by the change in the evaluation since. Too few problems give
    no prediction.
    """
    problems = context.known
    seen = [one for one in _ledger(context, past) if one.problem_id in problems]
    observed = {one.problem_id for one in seen}
    if len(observed) < part.fewest:
        return Prediction()
    asked = list({problem.id: problem for problem in (*(problems[name] for name in sorted(observed)), *wanted)}.values())
    made_from = {
        "weights": checkpoint.weights_hash,
        "tokenizer and chat template": checkpoint.tokenizer_hash,
        "ledgers": digest(seen),
        "problems": digest(asked),
        "evaluations": digest([moved := _moved(context, past[-1])]),
        "model of difficulty": digest([describe(part), describe(context.workflow.prompter), context.workflow.seed]),
    }

    def make() -> dict[str, float]:
        features = _features(context, part, checkpoint, asked, label)
        fitted, measured = fit(part, features, seen, context.workflow.seed)
        fitted = replace(fitted, bias=fitted.bias + moved)
        _save(fitted, checkpoint, folder / "model.safetensors")
        write_json(folder / "reliability.json", measured)
        plot(measured, f"{label}: out of fold", folder / "reliability.png")
        return fitted.rates({problem.id: features[problem.id] for problem in wanted})

    rates = keep(folder / "predicted.json", dict[str, float], made_from, make)
    return Prediction(rates, read_json(folder / "reliability.json", Reliability))


def _ledger(context: RunContext, past: Sequence[int]) -> Iterator[LedgerEntry]:
    """Ledger entries of the student's samples in these generations; a teacher's say nothing about the student."""
    for number in past:
        if number > 1 or context.workflow.teacher is None:
            entries = read_records(context.run.generation(number) / "ledger.parquet", LedgerEntry)
            yield from (one for one in entries if one.set == "train")


def _moved(context: RunContext, last: int) -> float:
    """Change in the evaluation, in logits, from the model that sampled to the champion after this generation."""
    reports = context.run.reports()
    sampled, now = reports[last - 1].kept_score, reports[last].kept_score
    if last == 1 and context.workflow.first_prompter:
        sampled = context.run.baselines().get("few_shot", sampled)
    # Half a correct and half a wrong answer more keep the logits finite.
    before, after = ((one.problems * one.pass_at_1 + 0.5) / (one.problems + 1) for one in (sampled, now))
    return math.log(after / (1 - after)) - math.log(before / (1 - before))


def _features(context: RunContext, part: DifficultyModel, checkpoint: Checkpoint, problems: Sequence[Problem], label: str) -> dict[str, Features]:
    prompts = [(problem.id, context.workflow.prompter.messages(problem)) for problem in problems]
    features: dict[str, Features] = {}
    worker = hand_over(context.cluster, "embedder", part.embedder, same_weights=True)
    context.progress.begin(label, len(prompts))
    for batches in worker.stream("embed", [(checkpoint, prompts)]):
        context.run.check_store()
        for batch in batches:
            context.progress.advance(sum(name not in features for name, _ in batch))
            features.update(batch)
    context.progress.end()
    context.run.settle()
    return features


def _save(fitted: FittedDifficulty, checkpoint: Checkpoint, file: Path) -> None:
    import numpy
    from safetensors.numpy import save_file

    tensors = {"weight": fitted.weight, "bias": numpy.array([fitted.bias], numpy.float32)}
    features = json.dumps(["mean of the last hidden states", "the last token's", "tokens"])
    metadata = {"checkpoint": checkpoint.id, "weights_hash": checkpoint.weights_hash, "features": features}
    with complete_or_absent(file) as half:
        save_file(tensors, half, metadata=metadata)
        keep_hash(file, half)
