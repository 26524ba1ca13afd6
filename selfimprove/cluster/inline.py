"""Parts run in this process, one call after another: for tests, debugging, and single stages."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from selfimprove.cluster.gpu_memory import held
from selfimprove.cluster.gpu_shares import Roles
from selfimprove.protocols import Load, WorkerPart


class InlineWorker:
    """An open part in this process."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened

    def gpu_memory(self) -> int | None:
        """Bytes of GPU memory that torch holds in this process; None where it has not used a GPU."""
        return held()

    def call(self, method: str, *arguments: object) -> Any:
        """Run the method."""
        return getattr(self._opened, method)(*arguments)

    def stream(self, method: str, calls: Iterable[tuple[object, ...] | None], load: Load | None = None) -> Iterator[list[Any]]:
        """Run the generator method once for each call, in order. No call has to wait for earlier results."""
        for arguments in calls:
            if arguments is not None:
                for item in getattr(self._opened, method)(*arguments):
                    yield [item]


class InlineCluster:
    """A cluster that opens parts in this process. They share its GPU, and hand it over between their calls."""

    def __init__(self) -> None:
        self._workers: dict[str, tuple[WorkerPart, InlineWorker]] = {}

    def expect(self, roles: Roles) -> None:
        """Do nothing: all parts share what this process has."""

    def opened(self, role: str) -> InlineWorker | None:
        """The open worker in this role; None if there is none."""
        return self._workers[role][1] if role in self._workers else None

    def open(self, role: str, part: WorkerPart) -> InlineWorker:
        """The worker of this part, opened once. Another part in this role is closed first."""
        if role in self._workers:
            known, worker = self._workers[role]
            if known == part:
                return worker
            self.end(known)
        os.environ.update(part.environment())
        worker = InlineWorker(part.open())
        self._workers[role] = part, worker
        return worker

    def prepare(self, role: str, part: WorkerPart) -> None:
        """Open a part that is needed later."""
        self.open(role, part)

    def end(self, part: WorkerPart) -> None:
        """Close this part if it is open."""
        for role in [role for role, (known, _) in self._workers.items() if known == part]:
            self._workers.pop(role)[1].call("close")

    def apart(self, role: str, part: WorkerPart) -> bool:
        """False: this process works on one call after another."""
        return False

    def close(self) -> None:
        """Close every part."""
        while self._workers:
            self._workers.popitem()[1][1].call("close")
