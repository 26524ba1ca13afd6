"""Measures predicted solve rates: Brier score compared with the base rate's, AUROC, and a reliability table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum

from selfimprove.evaluation.scores import interval


@dataclass(frozen=True, slots=True)
class Forecast:
    """The prediction for one problem, and the result."""

    predicted: float
    """Predicted solve rate."""
    right: int
    samples: int
    """Number of samples, at least 1."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Problems with similar predictions."""

    problems: int
    samples: int
    predicted: float
    """Mean prediction over samples."""
    observed: float
    """Share of right samples."""
    interval: tuple[float, float]
    """95 % interval of `observed`, with problems as the unit."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Predictions compared with outcomes; the sample is the unit."""

    problems: int
    samples: int
    brier: float
    """Mean of (prediction - outcome)² over samples, where an outcome is 1 or 0 (Brier 1950); lower is better."""
    base_brier: float
    """Brier score of the best constant prediction: the share of right samples, known only afterwards."""
    auroc: float | None
    """Probability that a right sample was given a higher rate than a wrong one, ties counted half; None if all are right, or all wrong."""
    calibration_error: float
    """Mean over samples of the distance between the predicted and the observed rate of their bin (ECE, Naeini et al. 2015)."""
    bins: tuple[ReliabilityBin, ...]
    """Bins of equal numbers of problems, as far as possible, from the lowest prediction to the highest."""


def reliability(forecasts: Sequence[Forecast], bins: int = 8) -> Reliability:
    """How good these predictions are. Raises ValueError if there are none."""
    if not forecasts:
        raise ValueError("there are no predictions to measure")
    right, samples = (sum(getattr(one, name) for one in forecasts) for name in ("right", "samples"))
    rate = right / samples
    ordered = sorted(forecasts, key=lambda one: (one.predicted, one.right / one.samples))
    edges = [round(place * len(ordered) / bins) for place in range(bins + 1)]
    table = tuple(_bin(ordered[low:high]) for low, high in pairwise(edges) if low < high)
    return Reliability(
        problems=len(forecasts),
        samples=samples,
        brier=fsum(one.right * (1 - one.predicted) ** 2 + (one.samples - one.right) * one.predicted**2 for one in forecasts) / samples,
        base_brier=rate * (1 - rate),
        auroc=_auroc(forecasts) if 0 < right < samples else None,
        calibration_error=fsum(one.samples * abs(one.predicted - one.observed) for one in table) / samples,
        bins=table,
    )


def _bin(forecasts: Sequence[Forecast]) -> ReliabilityBin:
    right, samples = sum(one.right for one in forecasts), sum(one.samples for one in forecasts)
    return ReliabilityBin(
        problems=len(forecasts),
        samples=samples,
        predicted=fsum(one.samples * one.predicted for one in forecasts) / samples,
        observed=right / samples,
        interval=interval([one.right / one.samples for one in forecasts], samples, [one.samples for one in forecasts]),
    )


def _auroc(forecasts: Sequence[Forecast]) -> float:
    from sklearn.metrics import roc_auc_score

    # Each problem appears twice: for its right samples and for its wrong ones.
    outcomes = [1] * len(forecasts) + [0] * len(forecasts)
    weights = [one.right for one in forecasts] + [one.samples - one.right for one in forecasts]
    return float(roc_auc_score(outcomes, [one.predicted for one in forecasts] * 2, sample_weight=weights))
