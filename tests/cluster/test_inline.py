"""The cluster in this process opens, keeps and closes parts."""

from __future__ import annotations

from dataclasses import dataclass

from selfimprove import InlineCluster
from selfimprove.protocols import WorkerPart


@dataclass(frozen=True)
class Noting(WorkerPart):
    """A part that notes when it is opened and closed."""

    name: str
    notes: tuple[list[str], ...] = ()

    def open(self) -> Noting:
        self.notes[0].append(f"open {self.name}")
        return self

    def close(self) -> None:
        self.notes[0].append(f"close {self.name}")


def test_a_role_holds_one_part_at_a_time_and_others_stay_open() -> None:
    notes: list[str] = []
    first, second, other = (Noting(name, (notes,)) for name in ("first", "second", "other"))
    cluster = InlineCluster()
    worker = cluster.open("trainer", first)
    cluster.open("sampler", other)
    assert cluster.open("trainer", first) is worker and notes == ["open first", "open other"]
    cluster.open("trainer", second)
    assert notes == ["open first", "open other", "close first", "open second"]
    cluster.close()
    assert sorted(notes[4:]) == ["close other", "close second"]
