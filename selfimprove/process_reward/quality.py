"""Measures how well a process reward model tells good thoughts from bad ones, and how well it is calibrated: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

BINS, FEWEST = 10, 20
"""Number of bins in the reliability diagram, which hold equally many thoughts, and minimum number of thoughts in a bin: fewer would show noise."""


@dataclass(frozen=True)
class Bin:
    """A bin of thoughts with similar probabilities."""

    thoughts: int
    predicted: float
    """Mean probability."""
    observed: float
    """Mean label."""


@dataclass(frozen=True)
class StepQuality:
    """Quality of a process reward model on problems that it was not trained on.

    Calibrated figures are cross-fitted: each half of the problems is measured with the calibration of the other half.
    """

    problems: int
    thoughts: int
    auroc: float | None
    """Chance that a good thought (label of at least 0.5) has a higher reward than a bad one; ties count half. None if there is only one kind."""
    auroc_within: float | None
    """The same chance for two thoughts on one problem, which matters when choosing a sample. Knowing which problem is hard does not help."""
    brier: float
    """Mean squared difference between the calibrated probability and the outcome of a rollout, 0 or 1."""
    brier_uncalibrated: float
    """The same without calibration."""
    brier_constant: float
    """Brier score of predicting the mean label for every thought: the score of a model that knows nothing."""
    reliability: tuple[Bin, ...]
    """Calibrated probabilities and labels by bin, from low to high."""
    center: float
    """The logit that means 0.5, fitted on all held-out thoughts."""
    scale: float
    """Divisor of the logits."""


def measure(logits: Sequence[float], labels: Sequence[float], problems: Sequence[str]) -> StepQuality:
    """The quality on these thoughts, given one logit, label and problem id for each. ValueError if there are none."""
    import numpy as np
    from scipy.special import expit

    if not labels:
        raise ValueError("no thought to measure on")
    x, y = np.array(logits), np.array(labels)
    names = sorted(set(problems))
    half = np.array([names.index(name) % 2 for name in problems])
    if len(names) == 1:
        half = np.arange(len(y)) % 2
    calibrated = np.full(len(y), y.mean())
    for one in (0, 1):
        if (half != one).any():
            center, scale = calibrate(x[half != one], y[half != one])
            calibrated[half == one] = expit((x[half == one] - center) / scale)
    center, scale = calibrate(x, y)
    return StepQuality(
        problems=len(names),
        thoughts=len(y),
        auroc=_auroc(x, y >= 0.5),
        auroc_within=_auroc_within(x, y >= 0.5, np.array(problems)),
        brier=_brier(calibrated, y),
        brier_uncalibrated=_brier(expit(x), y),
        brier_constant=_brier(np.full(len(y), y.mean()), y),
        reliability=_reliability(calibrated, y),
        center=center,
        scale=scale,
    )


def calibrate(logits: Any, labels: Any) -> tuple[float, float]:
    """Center and scale that maximize the likelihood of `sigmoid((logit - center) / scale)`, given arrays of logits and soft labels.

    Platt 1999, "Probabilistic outputs for support vector machines", with his smoothed labels, which keep both values finite if the classes do not
    overlap. The center compensates for the class weights of the training. The scale is positive, so calibration never reverses an order.
    """
    import numpy as np
    from scipy.optimize import minimize

    smoothed = (labels * len(labels) + 1) / (len(labels) + 2)

    def loss(parameters: Any) -> float:
        z = np.exp(parameters[0]) * logits + parameters[1]
        return float(np.mean(np.logaddexp(0, z) - smoothed * z))

    slope, shift = minimize(loss, (0.0, 0.0), bounds=[(-5, 5), (None, None)]).x
    return float(-shift / np.exp(slope)), float(np.exp(-slope))


def _auroc(logits: Any, good: Any) -> float | None:
    from scipy.stats import mannwhitneyu

    if good.all() or not good.any():
        return None
    return float(mannwhitneyu(logits[good], logits[~good]).statistic / (good.sum() * (~good).sum()))


def _auroc_within(logits: Any, good: Any, problems: Any) -> float | None:
    import numpy as np

    pairs, won = 0, 0.0
    for name in np.unique(problems):
        here = problems == name
        if (chance := _auroc(logits[here], good[here])) is not None:
            number = int((here & good).sum() * (here & ~good).sum())
            pairs, won = pairs + number, won + chance * number
    return won / pairs if pairs else None


def _brier(probabilities: Any, labels: Any) -> float:
    return float((labels * (1 - probabilities) ** 2 + (1 - labels) * probabilities**2).mean())


def _reliability(probabilities: Any, labels: Any) -> tuple[Bin, ...]:
    import numpy as np

    groups = np.array_split(np.argsort(probabilities, kind="stable"), min(BINS, max(1, len(labels) // FEWEST)))
    return tuple(Bin(len(group), float(probabilities[group].mean()), float(labels[group].mean())) for group in groups)
