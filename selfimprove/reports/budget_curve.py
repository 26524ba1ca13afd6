"""Budget curves as a table that draws every interval, and as a plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from selfimprove.evaluation.budget_curve import BudgetCurve
from selfimprove.storage.complete import complete_or_absent

DRAWN = 23
"""Width, in characters, of the drawing of accuracies from 0 to 1."""


def table(curves: Sequence[Mapping[str, Any]]) -> RenderableType:
    """The points of each curve by thinking tokens, then its control, scaling and performance; fits 80 columns. Takes curves as JSON data."""
    return Group(*(part for one in curves for part in (_table(one), _figures(one), Text())))


def _table(one: Mapping[str, Any]) -> Table:
    title = Text(f"{one['method']}: {one['checkpoint_id']}, {one['problems']} problems")
    points = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    points.add_column("thinking", min_width=10)
    for column in ("mean\ntokens", "accuracy", "95 %\ninterval", "within", "none\nfits"):
        points.add_column(column, justify="right")
    points.add_column("0" + "1".rjust(DRAWN - 1), no_wrap=True)
    for point in sorted(one["points"], key=lambda point: point["thinking_tokens"] or 0):
        length, within, (low, high) = point["thinking_tokens"], point["within"], point["interval"]
        points.add_row(
            Text(point["setting"]),
            "" if length is None else f"{length:.1f}",
            f"{point['accuracy']:.3f}",
            f"{low:.2f}–{high:.2f}",
            "" if within is None or not _limited(point) else f"{within:.0%}",
            f"{point['unanswered']:.0%}" if point["unanswered"] else "",
            "".join(_drawn(low, point["accuracy"], high)),
        )
    return points


def _limited(point: Mapping[str, Any]) -> bool:
    return point["least"] > 0 or point["most"] is not None


def _drawn(low: float, accuracy: float, high: float) -> Iterator[str]:
    first, middle, last = (round(value * (DRAWN - 1)) for value in (low, accuracy, high))
    for column in range(DRAWN):
        yield "●" if column == middle else "─" if first <= column <= last else " "


def _figures(one: Mapping[str, Any]) -> Text:
    control = "–" if one["control"] is None else f"{one['control']:.0%}"
    slope = "–" if one["scaling"] is None else f"{one['scaling']:+.2f}"
    if one["scaling_interval"]:
        slope += " ({:+.2f} to {:+.2f})".format(*one["scaling_interval"])
    return Text(f"control {control}; scaling {slope} per 100 tokens; performance {one['performance']:.3f}")


def plot(curves: Sequence[BudgetCurve], file: Path) -> None:
    """Accuracy against mean thinking tokens with 95 % intervals, all methods in one picture, as PNG."""
    from matplotlib.figure import Figure

    # Not pyplot, which keeps figures in memory and looks for a screen.
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for one, marker in zip(curves, "os^vDP", strict=False):
        points = [(point.thinking_tokens, point) for point in one.points if point.thinking_tokens is not None]
        points.sort(key=lambda pair: pair[0])
        accuracy = [point.accuracy for _, point in points]
        below = [point.accuracy - point.interval[0] for _, point in points]
        above = [point.interval[1] - point.accuracy for _, point in points]
        axes.errorbar([tokens for tokens, _ in points], accuracy, yerr=[below, above], fmt=f"{marker}-", markersize=4, capsize=3, label=one.method)
    axes.set_xlabel("mean thinking tokens")
    axes.set_ylabel("accuracy (95 % interval over problems)")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1)
    axes.set_title(f"{curves[0].checkpoint_id}, {curves[0].problems} evaluation problems")
    axes.grid(alpha=0.3)
    axes.legend()
    with complete_or_absent(file) as half:
        figure.savefig(half, format="png", dpi=150)
