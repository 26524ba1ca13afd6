"""The reliability diagram of predicted solve rates."""

from __future__ import annotations

from pathlib import Path

from selfimprove.evaluation.reliability import Reliability
from selfimprove.storage.complete import complete_or_absent


def plot(measured: Reliability, title: str, file: Path) -> None:
    """Plot observed against predicted solve rates by bin, with 95 % intervals, as a PNG file."""
    from matplotlib.figure import Figure

    # Not pyplot, which keeps figures open and looks for a display.
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    observed = [one.observed for one in measured.bins]
    below = [one.observed - one.interval[0] for one in measured.bins]
    above = [one.interval[1] - one.observed for one in measured.bins]
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.errorbar([one.predicted for one in measured.bins], observed, yerr=[below, above], fmt="o", markersize=4, capsize=3)
    axes.set_xlabel("predicted solve rate")
    axes.set_ylabel("observed (95 % interval over problems)")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_title(title, fontsize="medium")
    axes.text(0.03, 0.94, f"Brier {measured.brier:.3f}, base rate {measured.base_brier:.3f}; {measured.problems} problems", fontsize="small")
    axes.grid(alpha=0.3)
    with complete_or_absent(file) as half:
        figure.savefig(half, format="png", dpi=150)
