"""The progress of a run: live bars with rates in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from selfimprove.errors.redaction import redact
from selfimprove.terminal.safe_text import plain_line, printable

PLAIN_SECONDS = 10.0
"""Seconds between two plain lines."""


class NoProgress:
    """Prints nothing."""

    def begin(self, stage: str, total: int) -> None:
        """Do nothing."""

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
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
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    tokens: int = 0
    accepted: int = 0
    loss: float | None = None
    bar: TaskID | None = None
    last_line: float = field(default_factory=time.monotonic)

    def rates(self) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        unit = "steps" if self.loss is not None else "traces"
        parts = [f"{self.done / seconds:.1f} {unit}/s", f"{self.tokens / seconds:,.0f} tokens/s"]
        parts.append(f"loss {self.loss:.3f}" if self.loss is not None else f"{self.accepted} correct")
        return ", ".join(parts)


class TerminalProgress:
    """Shows the current stages on a console: one of each thread, since the next generation may be sampled while a candidate trains."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stages: dict[int, _Stage] = {}
        """The stage of each thread, by the thread's number."""
        self._bars: Progress | None = None
        self._changing = threading.RLock()

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of `total` items; 0 if the number is not known yet."""
        begun = _Stage(stage, total)
        with self._changing:
            self._stages[threading.get_ident()] = begun
            if self._console.is_terminal:
                bars = self._bars = self._bars or self._start_bars()
                begun.bar = bars.add_task(printable(redact(stage)), total=total or None, rates="starting")

    def _start_bars(self) -> Progress:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rates]}"), TimeElapsedColumn()
        bars = Progress(*columns, console=self._console, transient=True)
        bars.start()
        return bars

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
        """Count more items of the stage as done."""
        stage = self._stages.get(threading.get_ident())
        if stage is None:
            return
        stage.done += items
        stage.tokens += tokens
        stage.accepted += accepted
        stage.total, stage.loss = total or stage.total, loss if loss is not None else stage.loss
        with self._changing:
            if self._bars is not None and stage.bar is not None:
                self._bars.update(stage.bar, completed=stage.done, total=stage.total or None, rates=stage.rates())
            elif time.monotonic() - stage.last_line >= PLAIN_SECONDS:
                stage.last_line = time.monotonic()
                self.say(f"{stage.name}: {stage.done}/{stage.total or '?'}, {stage.rates()}")

    def wait(self, reason: str) -> None:
        """Show what the stage waits for in place of its rates."""
        stage = self._stages.get(threading.get_ident())
        if stage is None:
            return
        with self._changing:
            if self._bars is not None and stage.bar is not None:
                self._bars.update(stage.bar, rates=reason)
            else:
                self.say(f"{stage.name}: {reason}")

    def end(self) -> None:
        """End the stage with a line that stays and sums it up."""
        with self._changing:
            stage = self._stages.pop(threading.get_ident(), None)
            if not self._stages:
                self.stop()
            elif self._bars is not None and stage is not None and stage.bar is not None:
                self._bars.remove_task(stage.bar)
        if stage is not None:
            self.say(f"{stage.name}: {stage.done} in {time.monotonic() - stage.started:.0f} s, {stage.rates()}")

    def stop(self) -> None:
        """Remove the bars from the terminal."""
        with self._changing:
            if self._bars is not None:
                self._bars.stop()
                self._bars = None

    def say(self, line: str) -> None:
        """Print a line that stays, without secrets."""
        self._console.print(Text(plain_line(redact(line))), soft_wrap=True)
