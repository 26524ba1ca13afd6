"""Opens the trackers of a run as one. A tracker that fails never ends the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from selfimprove.errors.redaction import redact
from selfimprove.protocols.runtime import OpenTracker, Tracker
from selfimprove.records import GenerationReport, Score, TrainingStep

LOGGER = logging.getLogger(__name__)
Trackers: TypeAlias = Tracker | Sequence[Tracker] | None
"""One tracker, several, or none."""


def open_trackers(trackers: Trackers, name: str, settings: Mapping[str, Any], folder: Path) -> OpenTracker:
    """All of them as one open tracker, for the run in `folder`."""
    given = () if trackers is None else trackers if isinstance(trackers, Sequence) else (trackers,)
    return _OpenTrackers({f"{number} {type(one).__name__}": one.open(name, settings, folder) for number, one in enumerate(given)})


class _OpenTrackers:
    """Passes every call on to each tracker. What one raises is logged once, until it works again."""

    def __init__(self, opened: Mapping[str, OpenTracker]) -> None:
        self._opened = opened
        self._failing: dict[str, str] = {}
        """Why, by tracker."""

    def start(self) -> str | None:
        """Start all; returns where people can look at the run and which trackers do not work, each on a line of its own."""
        links: list[str | None] = []
        self._each(lambda one: links.append(one.start()))
        failures = [f"the run is not logged to {key.split()[-1]}: {why}" for key, why in self._failing.items()]
        return "\n".join([link for link in links if link] + failures) or None

    def log_training(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """Pass it on."""
        self._each(lambda one: one.log_training(generation, steps))

    def log_generation(self, report: GenerationReport, folder: Path) -> None:
        """Pass it on."""
        self._each(lambda one: one.log_generation(report, folder))

    def log_baseline(self, name: str, score: Score) -> None:
        """Pass it on."""
        self._each(lambda one: one.log_baseline(name, score))

    def log_figures(self, name: str, figures: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path]) -> None:
        """Pass it on."""
        self._each(lambda one: one.log_figures(name, figures, files))

    def finish(self, status: str) -> None:
        """Pass it on."""
        self._each(lambda one: one.finish(status))

    def _each(self, call: Callable[[OpenTracker], None]) -> None:
        for key, one in self._opened.items():
            try:
                call(one)
                self._failing.pop(key, None)
            # Trackers have no exception in common, and none of theirs may stop a run.
            except Exception as error:
                why = redact(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")[:300]
                if key not in self._failing:
                    LOGGER.warning("%s failed, and the run goes on (%s)", key.split()[-1], why)
                self._failing[key] = why
