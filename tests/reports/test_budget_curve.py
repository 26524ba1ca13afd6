"""The table and the plot of budget curves."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from selfimprove.evaluation.budget_curve import Attempt, Setting, curve
from selfimprove.reports.budget_curve import DRAWN, plot, table
from selfimprove.storage.files import plain


@pytest.fixture
def curves():
    def evaluation(right: int, length: int) -> dict[str, list[Attempt]]:
        return {f"p{number}": [Attempt(number < right, length)] for number in range(20)}

    limited = [
        Setting("at most [8]", 0, 8, evaluation(5, 8)),
        Setting("own length", 0, None, evaluation(10, 100)),
        Setting("× 1", 0, None, evaluation(20, 200)),
    ]
    nothing = {f"p{number}": [] for number in range(20)}
    return curve("budget forcing", "model", limited), curve("rejection sampling", "model", [Setting("at most 8", 0, 8, nothing)])


def test_the_table_fits_a_terminal_and_draws_every_interval_around_its_accuracy(curves):
    out = StringIO()
    Console(file=out, width=80).print(table(plain(curves)))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.startswith("at most [8]"))
    assert row.split()[3:7] == ["8.0", "0.250", "0.11–0.47", "100%"]
    drawn = row[-DRAWN:]
    assert drawn.index("●") == round(0.25 * (DRAWN - 1)) and drawn == "  ────●────".ljust(DRAWN)
    assert next(line for line in lines if line.startswith("own length")).split()[4:5] == ["0.30–0.70"]
    assert "control 100%; scaling +0.39 (+" in out.getvalue()
    assert "control –; scaling – per 100 tokens; performance 0.000" in lines
    nothing = lines[-4:]
    assert any(line.split()[:5] == ["at", "most", "8", "0.000", "0.00–0.16"] and "100%" in line for line in nothing)


def test_the_plot_shows_both_methods_and_leaves_out_settings_without_a_length(curves, tmp_path):
    from matplotlib.image import imread

    plot(curves, tmp_path / "curve.png")
    picture = imread(tmp_path / "curve.png")
    assert picture.shape[:2] == (675, 1050) and 0.5 < picture.mean() < 1
    assert [file.name for file in tmp_path.iterdir()] == ["curve.png"]
