"""The silent tracker is a tracker."""

from __future__ import annotations

from selfimprove.protocols import Tracker
from selfimprove.protocols.no_tracker import NoTracker


def test_the_silent_tracker_points_nowhere_and_writes_nothing(tmp_path):
    tracker = NoTracker()
    assert isinstance(tracker, Tracker)
    assert tracker.start("run", {}, tmp_path) is None
    tracker.finish("FINISHED")
    assert not list(tmp_path.iterdir())
