"""From hidden states to solve rates: a calibrated binomial regression on the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass as record
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.difficulty.embedder import Embedder, Features
from selfimprove.evaluation.reliability import Forecast, Reliability, reliability
from selfimprove.records import LedgerEntry
from selfimprove.records.numbers import Float, Int, PositiveInt
from selfimprove.seeds import derive_seed

PENALTIES = tuple(10.0**power for power in (-2, -1, 0, 1, 2))
"""Inverse strengths of regularisation to try, scikit-learn's C. The features have a total variance of 1."""
FREE = 10.0
"""Scale of the column for a generation's level: large enough that regularisation hardly affects it."""
LOOSE = 1e4
"""The C of Platt's line: almost no regularisation, but enough for a solution if all logits are equal."""
UNSEEN = 0.01
"""Right and wrong samples added to each observation, because a problem that was never solved may still be solvable."""


@dataclass(frozen=True, config={"extra": "forbid"})
class DifficultyModel:
    """Predicts how often a problem will be solved, from its question alone.

    A logistic regression from the model's hidden states on the question to the right and wrong samples of earlier generations. Each generation has
    its own level, because models get better and drawn problems get harder. Predictions are made at the level of the last generation.
    """

    embedder: Embedder = Embedder()
    components: PositiveInt = 64
    """Number of principal components of the standardised features in the regression."""
    decay: Annotated[Float, Field(gt=0, le=1)] = 0.5
    """Weight of an observation relative to one of the next generation."""
    folds: Annotated[Int, Field(ge=3)] = 5
    """Number of folds of problems in the cross-validation that chooses the regularisation, calibrates, and measures."""

    @property
    def fewest(self) -> int:
        """Minimum number of problems to fit a model: four in a fold."""
        return 4 * self.folds


@record(frozen=True)
class FittedDifficulty:
    """A linear layer on the features, followed by the logistic function."""

    weight: Any
    """A float32 vector of the length of the features."""
    bias: float

    def rates(self, features: Mapping[str, Features]) -> dict[str, float]:
        """The predicted solve rate of each problem."""
        from scipy.special import expit

        return {name: float(expit(float(self.weight @ one) + self.bias)) for name, one in features.items()}


def fit(part: DifficultyModel, features: Mapping[str, Features], entries: Iterable[LedgerEntry], seed: int) -> tuple[FittedDifficulty, Reliability]:
    """The regression on these observations, and its reliability out of fold.

    Regularisation is chosen by the log loss out of fold, and Platt scaling (Platt 1999) is fitted to the predictions out of fold. To measure
    reliability, all of that is repeated without each fold, which is then predicted; only observations of the last generation are measured. Folds are
    made of problems, not of samples.

    ValueError if fewer than `part.fewest` problems have features.
    """
    from threadpoolctl import threadpool_limits

    # Hundreds of regressions of a millisecond each: most of the time would go into threads waiting for each other.
    with threadpool_limits(1):
        return _fit(part, features, entries, seed)


def _fit(part: DifficultyModel, features: Mapping[str, Features], entries: Iterable[LedgerEntry], seed: int) -> tuple[FittedDifficulty, Reliability]:
    import numpy

    seen = sorted((one for one in entries if one.samples and one.problem_id in features), key=lambda one: (one.generation, one.problem_id))
    names = sorted({one.problem_id for one in seen})
    if len(names) < part.fewest:
        raise ValueError(f"{len(names)} problems are too few for a model of difficulty")
    place = {name: number for number, name in enumerate(names)}
    matrix = numpy.stack([features[name] for name in names]).astype(float)
    center, spread = matrix.mean(0), matrix.std(0)
    spread[spread == 0] = 1.0
    scores = (matrix - center) / spread / numpy.sqrt(matrix.shape[1])
    basis = numpy.linalg.svd(scores, full_matrices=False)[2][: part.components].T
    folds = numpy.random.default_rng(derive_seed(seed, "folds")).permutation(len(names)) % part.folds
    table = _Table.of(seen, place, scores @ basis, folds, part.decay)

    last = table.level == table.level.max()
    apart = numpy.zeros(len(seen))
    for fold in range(part.folds):
        held = table.fold == fold
        if held.any():
            apart[held] = table.rows[held] @ _calibrated(table.only(~held))
    fitted = _calibrated(table)
    weight = basis @ fitted[: -table.levels] / spread / numpy.sqrt(matrix.shape[1])
    model = FittedDifficulty(weight.astype(numpy.float32), float(FREE * fitted[-1] - center @ weight))
    forecasts = [Forecast(float(1 / (1 + numpy.exp(-apart[n]))), seen[n].right, seen[n].samples) for n in numpy.flatnonzero(last)]
    return model, reliability(forecasts)


@record(frozen=True)
class _Table:
    """Observations as arrays, one row each."""

    rows: Any
    """Components of the question, followed by one column for each generation."""
    right: Any
    wrong: Any
    """Samples, weighted by age."""
    level: Any
    """Column of the generation."""
    fold: Any
    levels: int
    """Number of columns for generations, which come last."""

    @staticmethod
    def of(seen: Sequence[LedgerEntry], place: Mapping[str, int], components: Any, folds: Any, decay: float) -> _Table:
        import numpy

        generations = sorted({one.generation for one in seen})
        level = numpy.array([generations.index(one.generation) for one in seen])
        problem = numpy.array([place[one.problem_id] for one in seen])
        weight = decay ** numpy.array([generations[-1] - one.generation for one in seen])
        right, wrong = numpy.array([(one.right + UNSEEN, one.samples - one.right + UNSEEN) for one in seen]).T * weight
        columns = FREE * numpy.eye(len(generations))
        return _Table(numpy.hstack([components[problem], columns[level]]), right, wrong, level, folds[problem], len(generations))

    def only(self, chosen: Any) -> _Table:
        return _Table(self.rows[chosen], self.right[chosen], self.wrong[chosen], self.level[chosen], self.fold[chosen], self.levels)


def _calibrated(table: _Table) -> Any:
    """Coefficients of the columns, with the regularisation that predicts best out of fold, scaled by Platt's line.

    The constant of the line is added to every level: each row has exactly one.
    """
    import numpy

    losses, logits = {}, {}
    for penalty in PENALTIES:
        apart = numpy.zeros(len(table.rows))
        for fold in numpy.unique(table.fold):
            held = table.fold == fold
            apart[held] = table.rows[held] @ _regression(table.only(~held), penalty)
        # -log p = log(1 + exp(-logit)), and so on for 1 - p.
        losses[penalty] = table.right @ numpy.logaddexp(0, -apart) + table.wrong @ numpy.logaddexp(0, apart)
        logits[penalty] = apart
    best = min(PENALTIES, key=lambda penalty: losses[penalty])
    coefficients = _regression(table, best)
    # Centered on their mean, so that with a slope of 0 the constant gives the overall rate.
    middle = float(numpy.average(logits[best], weights=table.right + table.wrong))
    line = replace(table, rows=numpy.stack([logits[best] - middle, numpy.ones(len(table.rows))], axis=1))
    slope, constant = _regression(line, LOOSE)
    slope = max(0.0, float(slope))
    scaled = slope * coefficients
    scaled[-table.levels :] += (constant - slope * middle) / FREE
    return scaled


def _regression(table: _Table, penalty: float) -> Any:
    """The coefficients of maximum penalized likelihood, without an intercept."""
    import numpy
    from sklearn.linear_model import LogisticRegression

    count = len(table.rows)
    outcomes = numpy.repeat([1, 0], count)
    model = LogisticRegression(C=penalty, fit_intercept=False, solver="newton-cholesky", max_iter=200)
    return model.fit(numpy.vstack([table.rows, table.rows]), outcomes, sample_weight=numpy.concatenate([table.right, table.wrong])).coef_[0]
