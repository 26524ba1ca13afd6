"""Where the workers of one training report to: an actor that the process which started them reads."""

from __future__ import annotations

from selfimprove.records import TrainingStep


class Board:
    """The steps so far, whether to stop, and why the training cannot succeed, if so."""

    def __init__(self) -> None:
        self._steps: dict[int, TrainingStep] = {}
        self._stopped = False
        self._error: Exception | None = None

    def add(self, step: TrainingStep) -> bool:
        """Take a step, again after a worker was lost. Returns whether to go on."""
        self._steps[step.step] = step
        return not self._stopped

    def after(self, step: int) -> list[TrainingStep]:
        """The steps after this one, in order."""
        return [self._steps[number] for number in sorted(self._steps) if number > step]

    def tokens(self, step: int) -> int:
        """Tokens up to this step."""
        return self._steps[step].tokens if step in self._steps else 0

    def stop(self) -> None:
        """Have the training end with its current step."""
        self._stopped = True

    def fail(self, error: Exception) -> None:
        """Have no further attempt begin: it would fail in the same way."""
        self._error = error

    def ended(self) -> bool:
        """Whether there is nothing left to do."""
        return self._stopped or self._error is not None

    def error(self) -> Exception | None:
        """Why the training cannot succeed; None if it may."""
        return self._error
