"""Memory of a generation does not grow with the number of traces."""

from __future__ import annotations

import pytest

from benchmarks.driver_memory import main

pytestmark = pytest.mark.slow


def test_ten_times_the_traces_need_hardly_more_memory() -> None:
    (figure,) = main(["--traces", "500", "5000", "--problems", "100"])
    assert figure.measured < 1.2
