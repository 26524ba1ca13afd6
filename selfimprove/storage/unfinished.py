"""The verified traces of shards that are not full yet, kept so that a run that is stopped loses none of them."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from selfimprove.errors import UserError
from selfimprove.records import JudgedTrace, Trace, Verdict
from selfimprove.storage.files import read_records, write_records

SECONDS = 10.0
"""Seconds between two writes while traces arrive: the most that is lost to a crash."""

ATTEMPTS = 4
"""Attempts to read, in case the files are being replaced."""

log = logging.getLogger(__name__)


class Unfinished:
    """The folder `unfinished/` of a stage. It is gone once the stage is complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "unfinished"
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return time.monotonic() - self._written >= SECONDS

    @property
    def is_there(self) -> bool:
        """Whether something is kept."""
        return self._folder.exists()

    def read(self) -> list[JudgedTrace]:
        """The traces that an earlier attempt has left, or a run at work has so far; none if they cannot be read, since they can be sampled again."""
        for left in reversed(range(ATTEMPTS)):
            try:
                verdicts = {verdict.trace_id: verdict for verdict in read_records(self._folder / "verdicts.parquet", Verdict)}
                traces = read_records(self._folder / "traces.parquet", Trace)
                return [JudgedTrace(trace, verdicts[trace.id]) for trace in traces if trace.id in verdicts]
            except FileNotFoundError:
                return []
            except UserError as error:
                # The run may be replacing them at this moment.
                if left:
                    time.sleep(0.05)
                else:
                    log.warning("%s; its traces are sampled again", error)
        return []

    def write(self, judged: Sequence[JudgedTrace]) -> None:
        """Replace what is kept by these traces; the folder goes if there are none."""
        self._written = time.monotonic()
        if not judged:
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        write_records(self._folder / "traces.parquet", [item.trace for item in judged], Trace)
        write_records(self._folder / "verdicts.parquet", [item.verdict for item in judged], Verdict)
