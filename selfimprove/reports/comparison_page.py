"""The page of several runs: tables, and a chart of the champions with their intervals. It runs no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from rich.console import Console
from rich.text import Text

from selfimprove.reports.comparison import TableOf, remarks, tables
from selfimprove.reports.html_page import content_hash
from selfimprove.storage.complete import complete_or_absent
from selfimprove.terminal.safe_text import plain_line

OF_CHAMPIONS = "pass@1 of each champion, with its 95 % interval; the hollow point is the base model."
ROW = 40
"""Height of a run's row in the chart, in pixels. Widths are shares of the page's, so that text keeps its size on a phone."""


def write_page(found: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Write the page of a comparison, as `compare_runs` returns it.

    Returns:
        `{"file", "bytes"}`.
    """
    return write_tables(found["runs"], OF_CHAMPIONS, tables(dict(found)), remarks(dict(found)), file)


def write_tables(runs: Sequence[Mapping[str, Any]], how: str, several: Sequence[TableOf], lines: Sequence[str], file: Path) -> dict[str, Any]:
    """Write a page of remarks, a chart and tables.

    Args:
        runs: A line of the chart each: `{"name", "base", "pass_at_1", "interval"}`.
        how: How to read the chart.

    Returns:
        `{"file", "bytes"}`.
    """
    folder = resources.files("selfimprove.reports") / "html"
    style = (folder / "page.css").read_text(encoding="utf-8")
    text = Template((folder / "comparison.html").read_text(encoding="utf-8")).substitute(
        allowed=escape(f"default-src 'none'; style-src {content_hash(style)}; base-uri 'none'; form-action 'none'"),
        style=style,
        title=escape(plain_line(", ".join(run["name"] for run in runs))),
        remarks="".join(f"<p>{escape(plain_line(line))}</p>" for line in lines),
        how=escape(how),
        chart=_chart(runs),
        tables="".join(_table(*one) for one in several),
    )
    with complete_or_absent(file) as half:
        half.write_text(text, encoding="utf-8")
        size = half.stat().st_size
    return {"file": str(file), "bytes": size}


def show_page(written: Mapping[str, Any], console: Console) -> None:
    """Print where the page is."""
    console.print(Text(plain_line(f"{written['file']}: {written['bytes'] / 1e3:.0f} kB; open it in a browser")), soft_wrap=True)


def _chart(runs: Sequence[Mapping[str, Any]]) -> str:
    height = ROW * len(runs) + 24
    inner = "".join(_axis(height)) + "".join(_marks(place, run) for place, run in enumerate(runs))
    return f'<svg height="{height}" role="img" aria-label="pass@1 of each champion with its 95 % interval">{inner}</svg>'


def _axis(height: int) -> Iterator[str]:
    for step in range(5):
        x = _x(step / 4)
        yield f'<line class="grid" x1="{x}" y1="0" x2="{x}" y2="{height - 18}"/>'
        anchor = "start" if step == 0 else "end" if step == 4 else "middle"
        yield f'<text x="{x}" y="{height - 4}" text-anchor="{anchor}">{step / 4:g}</text>'


def _marks(place: int, run: Mapping[str, Any]) -> str:
    y, (low, high) = ROW * place + 26, run["interval"]
    return (
        f'<text x="0" y="{y - 10}">{escape(plain_line(run["name"]))}</text>'
        f'<line class="span champion" x1="{_x(low)}" y1="{y}" x2="{_x(high)}" y2="{y}"/>'
        f'<circle class="base" cx="{_x(run["base"])}" cy="{y}" r="4"><title>base {run["base"]:.3f}</title></circle>'
        f'<circle class="champion" cx="{_x(run["pass_at_1"])}" cy="{y}" r="5"><title>champion {run["pass_at_1"]:.3f}</title></circle>'
    )


def _x(share: float) -> str:
    return f"{1 + 98 * share:.2f}%"


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(plain_line(name))}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(plain_line(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<section class="full"><h2>{escape(plain_line(title))}</h2><div class="wide"><table><tr>{head}</tr>{body}</table></div></section>'
