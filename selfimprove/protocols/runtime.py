"""Runtime protocols: where work runs, where a run is logged, and what the terminal shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from selfimprove.protocols.worker_part import WorkerPart
from selfimprove.records import GenerationReport, Score, TrainingStep


@dataclass(frozen=True)
class Load:
    """How full each copy of a part is kept while it streams."""

    most: int
    """A copy that has fewer results than this to bring gets another call."""
    of_call: Callable[[tuple[Any, ...]], int] = lambda arguments: 1
    """How many results a call brings."""
    of_item: Callable[[Any], int] = lambda item: 0
    """How many of them are in one item of its stream; what is missing at its end counts as brought."""


class Worker(Protocol):
    """One or more open copies of a part, in processes of their own or in this one."""

    def call(self, method: str, *arguments: object) -> Any:
        """Run the method on every copy and give the first one's result."""
        ...

    def stream(self, method: str, calls: Iterable[tuple[object, ...] | None], load: Load | None = None) -> Iterator[list[Any]]:
        """Run a generator method once for each tuple of arguments, spread over the copies; yield what they yield, as it comes, in lists of all items
        that are there.

        `load` says how full each copy is kept; None: with two calls.

        A call whose copy died is run again from its start, so an item can come twice: join by id. `calls` is read as copies become free; None in it
        stands for a call that waits for the items of those before it: it is asked for again when another call has ended.
        """
        ...


@runtime_checkable
class Cluster(Protocol):
    """Where work runs."""

    def open(self, role: str, part: WorkerPart) -> Worker:
        """The worker of this part: started at the first call, the same warm one at every later call with an equal part.

        A role holds one part at a time: the worker of another part in the same role ends first, so that two engines or two trainers never compete
        for memory.
        """
        ...

    def end(self, part: WorkerPart) -> None:
        """End the worker of this part, where there is one, so that its memory is free; the next `open` starts another."""
        ...

    def close(self) -> None:
        """End every worker."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """Where runs are logged. A tracker is configuration: frozen and picklable; `open` gives the object that does the work."""

    def open(self, name: str, settings: Mapping[str, Any], folder: Path) -> OpenTracker:
        """Return the tracker of the run in `folder`. Nothing is sent yet."""
        ...


class OpenTracker(Protocol):
    """One run in a tracker. The run folder is the truth: no method raises an exception because the tracker failed."""

    def start(self) -> str | None:
        """Log that the run begins or continues; returns where people can look at it, or None."""
        ...

    def log_training(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """Log the optimizer steps of this generation's candidate since the last call."""
        ...

    def log_generation(self, report: GenerationReport, folder: Path) -> None:
        """Log a complete generation; `folder` holds its files."""
        ...

    def log_baseline(self, name: str, score: Score) -> None:
        """Log the evaluation of a baseline."""
        ...

    def log_figures(self, name: str, figures: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path]) -> None:
        """Log figures that were measured on the run, each set with its step, and files that show them; usually after its end, without `start`."""
        ...

    def finish(self, status: str) -> None:
        """End the run with the status `FINISHED`, `FAILED` or `KILLED` (interrupted)."""
        ...


class Progress(Protocol):
    """What the terminal shows while a stage works."""

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of `total` items; 0 if the number is not known yet."""
        ...

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
        """Count `items` more as done, with their tokens and the number of correct ones; `total` replaces the number given before."""
        ...

    def end(self) -> None:
        """End the stage."""
        ...

    def say(self, line: str) -> None:
        """Print a line that stays."""
        ...
