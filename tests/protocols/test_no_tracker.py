"""NoTracker is a tracker that does nothing."""

from __future__ import annotations

from selfimprove.protocols import Tracker
from selfimprove.protocols.no_tracker import NoTracker


def test_it_has_no_link_and_writes_nothing(tmp_path):
    tracker = NoTracker()
    assert isinstance(tracker, Tracker)
    opened = tracker.open("run", {}, tmp_path)
    assert opened.start() is None
    opened.finish("FINISHED")
    assert not list(tmp_path.iterdir())
