"""The progress of a run: live bars with rates in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from selfimprove.errors.redaction import redact
from selfimprove.terminal.safe_text import plain_line, printable

PLAIN_SECONDS = 10.0
"""Seconds between two plain lines."""


FILE_SECONDS = 2.0
"""Seconds between two writes of the file of progress."""
TELLING = 200
"""Traces after which their rate tells how long the rest takes, or a twentieth of them: an engine writes many at once, and the first comes late."""
PROGRESS = "progress.txt"
"""Name of the file in the logs of a run that has the line of each stage at work."""


class NoProgress:
    """Prints nothing."""

    def begin(self, stage: str, total: int) -> None:
        """Do nothing."""

    def advance(self, items: int, *, tokens: int = 0, accepted: int | None = None, total: int | None = None, loss: float | None = None) -> None:
        """Do nothing."""

    def wait(self, reason: str) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""

    def say(self, line: str) -> None:
        """Do nothing."""


@dataclass
class _Stage:
    name: str
    total: int
    started: float = field(default_factory=lambda: time.monotonic())
    done: int = 0
    tokens: int = 0
    accepted: int | None = None
    loss: float | None = None
    bar: TaskID | None = None
    last_line: float = field(default_factory=lambda: time.monotonic())
    now: str = "starting"
    """Its latest line, which other processes read."""
    waiting: bool = False
    """Whether nothing has come since the stage began to wait."""
    since: tuple[float, int, int] | None = None
    """Time, items and tokens from which rates are measured, after a wait."""

    def count(self, items: int, tokens: int, accepted: int | None) -> None:
        self.done += items
        self.tokens += tokens
        if accepted is not None:
            self.accepted = (self.accepted or 0) + accepted
        if self.waiting and items:
            # An engine that starts says nothing about the rate.
            self.waiting, self.since = False, (time.monotonic(), self.done, self.tokens)

    def line(self, short: bool = False) -> str:
        """How far the stage is, how fast, and how long the rest takes."""
        now, since = time.monotonic(), self.since or (self.started, 0, 0)
        seconds, items = now - since[0], self.done - since[1]
        parts = [f"{self.done:,}/{f'{self.total:,}' if self.total else '?'}", *self._rates(items, 0 if short else self.tokens - since[2], seconds)]
        parts += self._outcome()
        enough = 1 if self.loss is not None else min(self.total / 20, TELLING)
        if items >= enough and self.total > self.done:
            parts.append(f"{duration(seconds / items * (self.total - self.done))} left")
        return ", ".join(parts)

    def summary(self) -> str:
        """What the stage did, and how fast on average, engines' starts included."""
        seconds = time.monotonic() - self.started
        return ", ".join([f"{self.done:,} in {seconds:.0f} s", *self._rates(self.done, self.tokens, seconds), *self._outcome()])

    def _rates(self, items: int, tokens: int, seconds: float) -> Iterator[str]:
        unit = "step" if self.loss is not None else "trace"
        if items and seconds:
            each = seconds / items
            yield f"{1 / each:,.1f} {unit}s/s" if each < 1 else f"{each:.1f} s/{unit}"
        if tokens and seconds:
            rate = tokens / seconds
            yield f"{rate:,.0f} tokens/s" if rate >= 1 else f"{1 / rate:.0f} s/token"

    def _outcome(self) -> Iterator[str]:
        if self.loss is not None:
            yield f"loss {self.loss:.3f}"
        elif self.accepted is not None:
            yield f"{self.accepted:,} correct"


def duration(seconds: float) -> str:
    """A time span in the unit that fits it: `40 s`, `12 min`, `2.5 h`."""
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


class TerminalProgress:
    """Shows the current stages on a console: one of each thread, since the next generation may be sampled while a candidate trains.

    Args:
        console: Shows them.
        file: Gets their lines every few seconds, for those who look from elsewhere.
        part: Begins every line that stays, such as `seed 2 of 3`.

    """

    def __init__(self, console: Console, file: Path | None = None, part: str = "") -> None:
        self._console = console
        self._file = file
        self._part = f"{part}: " if part else ""
        self._kept = 0.0
        self._stages: dict[int, _Stage] = {}
        """The stage of each thread, by the thread's number."""
        self._bars: Progress | None = None
        self._changing = threading.RLock()

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of `total` items; 0 if the number is not known yet."""
        begun = _Stage(stage, total)
        with self._changing:
            self._stages[threading.get_ident()] = begun
            self._keep(at_once=True)
            if self._console.is_terminal:
                bars = self._bars = self._bars or self._start_bars()
                begun.bar = bars.add_task(printable(redact(stage)), total=total or None, rates="starting")

    @property
    def _narrow(self) -> bool:
        """Whether a bar and everything that is known of a stage would not fit beside each other."""
        return self._console.width < 110

    def _start_bars(self) -> Progress:
        words = TextColumn("{task.description}"), TextColumn("{task.fields[rates]}")
        columns = words if self._narrow else (words[0], BarColumn(bar_width=20), words[1], TimeElapsedColumn())
        bars = Progress(*columns, console=self._console, transient=True)
        bars.start()
        return bars

    def advance(self, items: int, *, tokens: int = 0, accepted: int | None = None, total: int | None = None, loss: float | None = None) -> None:
        """Count more items of the stage as done."""
        stage = self._stages.get(threading.get_ident())
        if stage is None:
            return
        stage.count(items, tokens, accepted)
        stage.total, stage.loss = total or stage.total, loss if loss is not None else stage.loss
        with self._changing:
            stage.now = stage.line()
            self._keep()
            if self._bars is not None and stage.bar is not None:
                if stage.done:
                    self._bars.update(stage.bar, completed=stage.done, total=stage.total or None, rates=stage.line(short=self._narrow))
            elif time.monotonic() - stage.last_line >= PLAIN_SECONDS:
                stage.last_line = time.monotonic()
                self.say(f"{stage.name}: {stage.line()}")

    def wait(self, reason: str) -> None:
        """Show what the stage waits for in place of its rates."""
        stage = self._stages.get(threading.get_ident())
        if stage is None:
            return
        stage.waiting = True
        with self._changing:
            stage.now = reason
            self._keep(at_once=True)
            if self._bars is not None and stage.bar is not None:
                self._bars.update(stage.bar, rates=reason)
            else:
                self.say(f"{stage.name}: {reason}")

    def end(self) -> None:
        """End the stage with a line that stays and sums it up."""
        with self._changing:
            stage = self._stages.pop(threading.get_ident(), None)
            self._keep(at_once=True)
            if not self._stages:
                self.stop()
            elif self._bars is not None and stage is not None and stage.bar is not None:
                self._bars.remove_task(stage.bar)
        if stage is not None:
            self.say(f"{stage.name}: {stage.summary()}")

    def stop(self) -> None:
        """Remove the bars from the terminal."""
        with self._changing:
            if self._bars is not None:
                self._bars.stop()
                self._bars = None

    def _keep(self, at_once: bool = False) -> None:
        if self._file is None or not (at_once or time.monotonic() - self._kept >= FILE_SECONDS):
            return
        self._kept = time.monotonic()
        half = self._file.with_name(f".{self._file.name}.tmp")
        # Progress is not worth an error.
        with suppress(OSError):
            half.write_text("".join(f"{plain_line(redact(f'{stage.name}: {stage.now}'))}\n" for stage in self._stages.values()), encoding="utf-8")
            half.replace(self._file)

    def say(self, line: str) -> None:
        """Print a line that stays, without secrets."""
        self._console.print(Text(plain_line(redact(self._part + line))), soft_wrap=True)
