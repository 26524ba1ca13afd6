"""The progress of a run: a live bar with rates in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

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

    def rates(self) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        unit = "steps" if self.loss is not None else "traces"
        parts = [f"{self.done / seconds:.1f} {unit}/s", f"{self.tokens / seconds:,.0f} tokens/s"]
        parts.append(f"loss {self.loss:.3f}" if self.loss is not None else f"{self.accepted} correct")
        return ", ".join(parts)


class TerminalProgress:
    """Shows the current stage on a console, one stage at a time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage: _Stage | None = None
        self._last_line = 0.0
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of `total` items; 0 if the number is not known yet."""
        self._stage = _Stage(stage, total)
        self._last_line = time.monotonic()
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rates]}"),
                TimeElapsedColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task(printable(redact(stage)), total=total or None, rates="starting")
            self._bar.start()

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
        """Count more items of the stage as done."""
        stage = self._stage
        if stage is None:
            return
        stage.done += items
        stage.tokens += tokens
        stage.accepted += accepted
        stage.total, stage.loss = total or stage.total, loss if loss is not None else stage.loss
        if self._bar is not None:
            self._bar.update(self._task, completed=stage.done, total=stage.total or None, rates=stage.rates())
        elif time.monotonic() - self._last_line >= PLAIN_SECONDS:
            self._last_line = time.monotonic()
            self.say(f"{stage.name}: {stage.done}/{stage.total or '?'}, {stage.rates()}")

    def wait(self, reason: str) -> None:
        """Show what the stage waits for in place of its rates."""
        if self._stage is None:
            return
        if self._bar is not None:
            self._bar.update(self._task, rates=reason)
        else:
            self.say(f"{self._stage.name}: {reason}")

    def end(self) -> None:
        """End the stage with a line that stays and sums it up."""
        self.stop()
        stage, self._stage = self._stage, None
        if stage is not None:
            self.say(f"{stage.name}: {stage.done} in {time.monotonic() - stage.started:.0f} s, {stage.rates()}")

    def stop(self) -> None:
        """Remove the bar from the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, line: str) -> None:
        """Print a line that stays, without secrets."""
        self._console.print(Text(plain_line(redact(line))), soft_wrap=True)
