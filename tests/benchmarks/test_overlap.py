"""What overlapping gains on simulated actors."""

from __future__ import annotations

import pytest

from benchmarks.overlap import busy, main
from benchmarks.simulated_actors import Setting, simulate


def test_side_by_side_a_generation_takes_as_long_as_the_longer_of_the_two() -> None:
    one = simulate(Setting(actors=2, slots=4, requests_per_slot=8), seed=0)
    none = simulate(Setting(actors=2, slots=4, requests_per_slot=1), seed=0)
    turns, side = (busy([one] * 50, [none] * 50, 1.0, overlap) for overlap in (False, True))
    assert turns.seconds == pytest.approx(2 * one.seconds + none.seconds)
    # Only the first sampling and the last training have nothing beside them.
    assert side.seconds == pytest.approx(one.seconds * 51 / 50 + none.seconds)
    assert side.trainer / turns.trainer == side.sampler / turns.sampler == pytest.approx(turns.seconds / side.seconds)


def test_the_table_has_a_row_for_each_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    (gain,) = main(["--simulated", "--actors", "2", "--slots", "4", "--requests", "8"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[3:]]
    assert [row[0] for row in rows] == ["0.25", "0.5", "1", "2"]
    assert gain.measured > 1.2 and all(float(row[4]) >= float(row[1]) and float(row[5]) >= float(row[2]) for row in rows)
