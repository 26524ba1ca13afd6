"""The seams to the outside: where work runs, who is told, and what is shown meanwhile."""

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
    """Who is told. The run folder is the truth: a tracker that fails never stops a run."""

    def start(self, name: str, settings: Mapping[str, Any], folder: Path) -> str | None:
        """A run begins or is continued; where people can look at it, if anywhere."""
        ...

    def training(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """Optimizer steps of the candidate of this generation, since the last call."""
        ...

    def record(self, report: GenerationReport, folder: Path) -> None:
        """A generation is complete; `folder` holds what it left on disk."""
        ...

    def baseline(self, name: str, score: Score) -> None:
        """A baseline has been evaluated."""
        ...

    def measured(self, name: str, figures: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path], folder: Path) -> None:
        """Something was measured of the run in `folder`, mostly after its end and without `start`: figures with their steps, files that show them."""
        ...

    def finish(self, status: str) -> None:
        """The run ends: `FINISHED`, `FAILED` or `KILLED` (interrupted)."""
        ...


class Progress(Protocol):
    """What is shown while a stage works."""

    def begin(self, stage: str, total: int) -> None:
        """A stage with `total` items begins."""
        ...

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
        """So many more items are done, with so many tokens, so many of them right; `total` where it becomes known only now."""
        ...

    def end(self) -> None:
        """The stage is done."""
        ...

    def say(self, line: str) -> None:
        """A line that stays."""
        ...
