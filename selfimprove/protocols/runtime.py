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
    """How full each copy of a part is kept during a stream."""

    most: int
    """Number of pending results below which a copy gets another call."""
    of_call: Callable[[tuple[Any, ...]], int] = lambda arguments: 1
    """Number of results of a call, given its arguments."""
    of_item: Callable[[Any], int] = lambda item: 0
    """Number of results in one item of the stream. Results that are missing at the end count as arrived."""
    slow_calls: bool = False
    """Whether the calls themselves are slow to come, so that results are passed on between one call and the next."""


class Worker(Protocol):
    """One or more open copies of a part, in their own processes or in this one."""

    def gpu_memory(self) -> int | None:
        """Bytes of GPU memory that torch holds in the worker's process, in the copy that holds most; None if torch has not used a GPU there."""
        ...

    def call(self, method: str, *arguments: object) -> Any:
        """Run the method on every copy and return the first result."""
        ...

    def stream(self, method: str, calls: Iterable[tuple[object, ...] | None], load: Load | None = None) -> Iterator[list[Any]]:
        """Run a generator method once for each tuple of arguments, spread over the copies. Yields items as they arrive, in lists.

        `load` says how full each copy is kept; None keeps two calls with each.

        A call whose copy died runs again from its start, so an item can arrive twice: join by id. `calls` is read as copies become free. A None in it
        says that the next call depends on earlier items, here or elsewhere; it is requested again when another call has ended, or, if none is
        running, after an empty list was yielded.
        """
        ...


@runtime_checkable
class Cluster(Protocol):
    """Where work runs."""

    def expect(self, roles: Mapping[str, Sequence[WorkerPart]]) -> None:
        """Divide the GPUs among these parts, which may be opened later, by role.

        Raises:
            UserError: the cluster can never hold one of them.
        """
        ...

    def opened(self, role: str) -> Worker | None:
        """The open worker in this role; None if there is none."""
        ...

    def open(self, role: str, part: WorkerPart) -> Worker:
        """The worker of this part: started by the first call, returned by every later call with an equal part.

        A role holds one part at a time: the worker of another part in the same role ends first, so that two engines or two trainers never compete
        for memory.
        """
        ...

    def prepare(self, role: str, part: WorkerPart) -> None:
        """Open a part that is needed later, if there is room for it beside those that are open, so that its libraries load meanwhile."""
        ...

    def end(self, part: WorkerPart) -> None:
        """End the worker of this part, if any, to free its memory; the next `open` starts another."""
        ...

    def apart(self, role: str, part: WorkerPart) -> bool:
        """Whether the open part in this role and another part never share an accelerator, so that both can work at once, each called by a thread."""
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
        """Log a complete generation; `folder` holds its files.

        Called again for every generation of a run that is continued. The candidate's weights are there until the next generation is complete, and
        afterwards where `keep_checkpoints` keeps them.
        """
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
    """What the terminal shows while a stage works. A stage belongs to the thread that begins it: with `overlap=1` there can be two at once."""

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of `total` items; 0 if the number is not known yet."""
        ...

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
        """Count `items` more as done, with their tokens and the number of correct ones; `total` replaces the number given before."""
        ...

    def wait(self, reason: str) -> None:
        """Show what the stage waits for, until its next item."""
        ...

    def end(self) -> None:
        """End the stage."""
        ...

    def say(self, line: str) -> None:
        """Print a line that stays."""
        ...
