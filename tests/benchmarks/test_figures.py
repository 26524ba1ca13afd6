"""Figures that benchmarks print, and the table made from them."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import table
from benchmarks.figures import figure, hand_on, taken

FASTER = figure("faster ÷ slower", "≥ 2", [1.9, 2.5, 2.2], "python -m benchmarks.some", note="on rows")
STARTED = figure("starting", "≤ 0.8 s", [1.25], "python -m benchmarks.other", "s")


def test_a_figure_is_a_median_with_its_range() -> None:
    assert (FASTER.measured, FASTER.low, FASTER.high, FASTER.repeats) == (2.2, 1.9, 2.5, 3)


@pytest.mark.parametrize(("aim", "value", "met"), [("≥ 2,000", 2000, True), ("≥ 2,000", 1999, False), ("≤ 5 s", 5, True), ("≤ 5 s", 5.1, False)])
def test_an_aim_is_parsed_from_its_text_in_the_table(aim: str, value: float, met: bool) -> None:
    assert figure("any", aim, [value], "any").met is met


def test_figures_are_found_in_the_output_of_a_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    print("  some line")
    hand_on([FASTER, STARTED])
    assert taken(capsys.readouterr().out.splitlines(keepends=True)) == [FASTER, STARTED]


def test_the_table_has_a_row_for_each_figure_and_names_each_machine_once() -> None:
    page = table([(FASTER, "a fast machine"), (STARTED, "a slow machine"), (STARTED, "a fast machine")])
    assert "| faster ÷ slower | ≥ 2 | **2.2** (1.9 to 2.5, 3 times); on rows [1] | `python -m benchmarks.some` |" in page
    assert "| starting | ≤ 0.8 s | 1.25 s [2] |" in page and "| starting | ≤ 0.8 s | 1.25 s [1] |" in page
    assert page.count("a fast machine") == 1 and page.endswith("2. a slow machine\n")
