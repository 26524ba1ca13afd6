"""From hidden states to solve rates: a calibrated binomial regression on the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass as record
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.difficulty.embedder import Embedder, Features
from selfimprove.evaluation.reliability import Forecast, Reliability, reliability
from selfimprove.records import LedgerEntry
from selfimprove.seeds import derive_seed

PENALTIES = tuple(10.0**power for power in (-2, -1, 0, 1, 2))
"""The inverse strengths of regularisation that are tried, scikit-learn's C; the features have a variance of 1 in all."""
FREE = 10.0
"""How large the column of a generation's level is beside the features: so large that regularisation hardly holds it."""
LOOSE = 1e4
"""The C of the line of two coefficients: next to none, but one where the logits do not differ."""
UNSEEN = 0.01
"""Right and wrong samples that each observation has beyond its own: a problem that was never solved may be, some day."""


@dataclass(frozen=True, config={"extra": "forbid"})
class DifficultyModel:
    """Predicts how often a problem will be solved, from its question alone.

    A binomial regression, through the logistic function: from the model's hidden states on the question to right and wrong samples of earlier
    generations.

    Each generation has a level of its own in the regression, for models get better and draws get harder; predictions are at the last one's.
    """

    embedder: Embedder = Embedder()
    components: PositiveInt = 64
    """Principal components of the standardised features that the regression sees."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.5
    """What an observation weighs beside one of the next generation."""
    folds: Annotated[int, Field(ge=3)] = 5
    """Parts of the problems that are predicted from the other parts, to choose the regularisation, to calibrate, and to measure."""

    @property
    def fewest(self) -> int:
        """Problems below which nothing is fitted: four in a fold."""
        return 4 * self.folds


@record(frozen=True)
class FittedDifficulty:
    """One linear layer on the features, behind it the logistic function."""

    weight: Any
    """A float32 vector, as long as the features."""
    bias: float

    def rates(self, features: Mapping[str, Features]) -> dict[str, float]:
        """The predicted solve rate of each problem."""
        from scipy.special import expit

        return {name: float(expit(float(self.weight @ one) + self.bias)) for name, one in features.items()}


def fit(part: DifficultyModel, features: Mapping[str, Features], entries: Iterable[LedgerEntry], seed: int) -> tuple[FittedDifficulty, Reliability]:
    """The regression on these observations, and how reliable it is out of fold.

    Regularisation is chosen by the log loss out of fold; Platt's scaling (Platt 1999) is fitted to the predictions out of fold. For the measure all
    of that is done anew without each fold, and the fold is predicted; the last generation's observations count. Problems, not samples, are
    divided into folds.

    ValueError where there are fewer than `part.fewest` problems with features.
    """
    from threadpoolctl import threadpool_limits

    # Some hundred regressions of a millisecond each: threads that wait for each other would take most of the time.
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
    """Observations as arrays, a row each."""

    rows: Any
    """Components of the question, then one column for each generation."""
    right: Any
    wrong: Any
    """Samples, weighed by age."""
    level: Any
    """The generation's column."""
    fold: Any
    levels: int
    """Columns that stand for a generation, the last ones."""

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
    """Coefficients of the rows' columns, with the regularisation that predicts best out of fold, and scaled by Platt's line.

    The line's constant is spread over the levels: each row has exactly one.
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
    # About their mean, so that without a slope the constant alone is the rate of all.
    middle = float(numpy.average(logits[best], weights=table.right + table.wrong))
    line = replace(table, rows=numpy.stack([logits[best] - middle, numpy.ones(len(table.rows))], axis=1))
    slope, constant = _regression(line, LOOSE)
    slope = max(0.0, float(slope))
    scaled = slope * coefficients
    scaled[-table.levels :] += (constant - slope * middle) / FREE
    return scaled


def _regression(table: _Table, penalty: float) -> Any:
    """The coefficients that make the samples likeliest, held back by the penalty; there is no intercept beside the columns."""
    import numpy
    from sklearn.linear_model import LogisticRegression

    count = len(table.rows)
    outcomes = numpy.repeat([1, 0], count)
    model = LogisticRegression(C=penalty, fit_intercept=False, solver="newton-cholesky", max_iter=200)
    return model.fit(numpy.vstack([table.rows, table.rows]), outcomes, sample_weight=numpy.concatenate([table.right, table.wrong])).coef_[0]
