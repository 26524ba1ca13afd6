"""Traces and their verdicts, shard by shard: what a stopped stage has written is never made again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from selfimprove.records import JudgedTrace, Request, Trace, Verdict
from selfimprove.storage.files import read_records, write_records

SHARD = 256
"""Requests per shard: what is lost at most, per shard in progress, when a run is stopped."""


class JudgedShards:
    """The folders `traces/` and `verdicts/`, one file a shard in each; a shard counts once its verdicts are there."""

    def __init__(self, folder: Path, requests: Sequence[Request]) -> None:
        self._folder = folder
        self._shards: list[Sequence[Request]] = []
        self._shard_of: dict[str, int] = {}
        self._open: dict[int, dict[str, JudgedTrace]] = {}
        self.extend(requests)

    def __len__(self) -> int:
        return len(self._shards)

    def extend(self, requests: Sequence[Request]) -> range:
        """Take these requests in, in shards of their own; the numbers of these."""
        begin = len(self._shards)
        self._shards += [requests[start : start + SHARD] for start in range(0, len(requests), SHARD)]
        new = range(begin, len(self._shards))
        self._shard_of |= {request.id: number for number in new for request in self._shards[number]}
        return new

    def missing(self, numbers: range | None = None) -> list[Request]:
        """The requests of these shards, or of all, whose shards are not complete."""
        chosen = range(len(self._shards)) if numbers is None else numbers
        return [request for number in chosen if not self._path("verdicts", number).exists() for request in self._shards[number]]

    def add(self, judged: Iterable[JudgedTrace]) -> None:
        """Take traces in any order; a shard is written when its last trace comes. One that comes twice counts once."""
        for item in judged:
            number = self._shard_of[item.trace.id]
            if self._path("verdicts", number).exists():
                continue
            shard = self._open.setdefault(number, {})
            shard[item.trace.id] = item
            if len(shard) == len(self._shards[number]):
                self._write(number, self._open.pop(number))

    def read(self, numbers: range | None = None) -> Iterator[JudgedTrace]:
        """The traces of these shards, or of all, with their verdicts, in the order of the requests, one shard in memory at a time."""
        for number in range(len(self._shards)) if numbers is None else numbers:
            yield from _shard(self._path("verdicts", number))

    def _write(self, number: int, judged: dict[str, JudgedTrace]) -> None:
        in_order = [judged[request.id] for request in self._shards[number]]
        write_records(self._path("traces", number), [item.trace for item in in_order], Trace)
        write_records(self._path("verdicts", number), [item.verdict for item in in_order], Verdict)

    def _path(self, kind: str, number: int) -> Path:
        return self._folder / kind / f"shard-{number:05d}.parquet"


def stored(folder: Path) -> Iterator[JudgedTrace]:
    """The traces of a stage that are there, with their verdicts, in the order of the requests, one shard in memory at a time."""
    for file in sorted((folder / "verdicts").glob("shard-*.parquet")):
        yield from _shard(file)


def _shard(verdicts_file: Path) -> Iterator[JudgedTrace]:
    verdicts = {verdict.trace_id: verdict for verdict in read_records(verdicts_file, Verdict)}
    for trace in read_records(verdicts_file.parent.parent / "traces" / verdicts_file.name, Trace):
        yield JudgedTrace(trace, verdicts[trace.id])
