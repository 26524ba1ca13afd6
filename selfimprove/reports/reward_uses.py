"""The uses of a process reward model as tables and a plot."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from selfimprove.evaluation.equal_tokens import PLAIN, RewardUses
from selfimprove.evaluation.reranking import CHOICES
from selfimprove.storage.complete import complete_or_absent


def table(result: RewardUses) -> RenderableType:
    """Accuracy by sampled tokens, differences at equal tokens, early stopping and selection; fits 80 columns."""
    parts: list[RenderableType] = [_points(result), Text(), _differences(result)]
    for stop in result.stops:
        parts.append(
            Text(
                f"{stop.way}: {stop.hopeless} of {stop.traces} traces given up; {stop.tokens:.0f} tokens per problem, "
                f"{stop.plain_tokens:.0f} without ({stop.tokens / stop.plain_tokens - 1:+.0%}); "
                f"{stop.right_per_1000:.1f} correct traces per 1,000 tokens, {stop.plain_right_per_1000:.1f} without"
            )
        )
    for one in result.sifted:
        parts.append(
            Text(
                f"lowest_step {one.lowest_step:g}: keeps {one.kept} of {one.kept + one.dropped} correct traces; "
                f"false equations in {one.false_kept} of those kept, in {one.false_dropped} of {one.dropped} dropped"
            )
        )
    return Group(*parts)


def _points(result: RewardUses) -> Table:
    title = Text(f"{result.checkpoint_id}, {result.problems} problems: accuracy by sampled tokens")
    points = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    points.add_column("way")
    points.add_column("equal to\nsamples", justify="right")
    points.add_column("tokens per\nproblem", justify="right")
    for choice in CHOICES:
        points.add_column(choice.replace(" ", "\n"), justify="right")
    rows = dict.fromkeys((one.way, one.samples, one.tokens) for one in sorted(result.points, key=lambda one: (one.way != PLAIN, one.way, one.tokens)))
    found = {(one.way, one.samples, one.choice): one for one in result.points}
    for way, samples, tokens in rows:
        cells = [found.get((way, samples, choice)) for choice in CHOICES]
        points.add_row(Text(way), f"{samples:.1f}", f"{tokens:.0f}", *("" if cell is None else f"{cell.accuracy:.3f}" for cell in cells))
    return points


def _differences(result: RewardUses) -> Table:
    title = Text("at equal sampled tokens, compared with plain samples of the same problems")
    rows = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for column in ("way", "by", "against"):
        rows.add_column(column)
    for column in ("samples", "difference", "95 % interval"):
        rows.add_column(column, justify="right")
    for one in result.differences:
        rows.add_row(Text(one.way), one.choice, one.against, f"{one.samples:.1f}", f"{one.difference:+.3f}", f"{one.low:+.3f} to {one.high:+.3f}")
    return rows


def plot(result: RewardUses, file: Path) -> None:
    """Plot accuracy by sampled tokens per problem, with 95 % intervals: a line for each choice among plain samples, a mark for each search."""
    from matplotlib.figure import Figure

    # Not pyplot, which keeps figures in memory and looks for a screen.
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    searches = dict.fromkeys(one.way for one in result.points if one.way != PLAIN)
    for way, choice in [*((PLAIN, choice) for choice in CHOICES), *((way, "weighted majority") for way in searches)]:
        points = sorted((one for one in result.points if (one.way, one.choice) == (way, choice)), key=lambda one: one.tokens)
        below = [one.accuracy - one.interval[0] for one in points]
        above = [one.interval[1] - one.accuracy for one in points]
        style, name = ("o-", choice) if way == PLAIN else ("D", way)
        tokens = [one.tokens for one in points]
        axes.errorbar(tokens, [one.accuracy for one in points], yerr=[below, above], fmt=style, markersize=4, capsize=3, label=name)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel("sampled tokens per problem")
    axes.set_ylabel("accuracy (95 % interval over problems)")
    axes.set_ylim(0, 1)
    axes.set_title(f"{result.checkpoint_id}, {result.problems} evaluation problems")
    axes.grid(alpha=0.3)
    axes.legend()
    with complete_or_absent(file) as half:
        figure.savefig(half, format="png", dpi=150)
