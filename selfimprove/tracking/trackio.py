"""A run mirrored to Trackio: one run there, with curves over generations and a training curve for each generation."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.terminal.safe_text import plain_line
from selfimprove.tracking import figures
from selfimprove.tracking.charts import OpenCharts, require_package
from selfimprove.tracking.mlflow_page import label


@dataclass(frozen=True, config={"extra": "forbid"})
class Trackio:
    """Logs runs to Trackio, in files of this machine or in a Space of the hub. Needs the extra `trackio`.

    The step of every chart is the generation; the training of generation 1 is in the section `generation-01`, by optimizer step. A continued run goes
    on under the same name, which ends with the id that `trackio.json` in the run folder keeps.
    """

    project: str = "selfimprove"
    """Project that holds the runs."""
    space: str | None = None
    """Space of the hub, such as `me/runs`. None means `TRACKIO_SPACE_ID`, or this machine."""

    group: str | None = None
    """Group of the run, such as that of runs with several seeds."""

    def __post_init__(self) -> None:
        """Refuse to go on without the package. Raises UserError."""
        require_package("trackio")

    def open(self, name: str, settings: Mapping[str, Any], folder: Path) -> OpenCharts:
        """Return the tracker of the run in `folder`. Nothing is sent yet."""
        run = plain_line(label(name, folder.name))
        place = f"{self.space or ''}/{self.project}"
        return OpenCharts("trackio", place, folder, lambda number: TrackioCharts(self, f"{run}-{number}", figures.of_settings(settings)))


class TrackioCharts:
    """The run of this name."""

    empty = False

    def __init__(self, part: Trackio, name: str, settings: Mapping[str, str]) -> None:
        import trackio

        self._run = trackio.init(
            part.project,
            name=name,
            group=part.group,
            resume="allow",
            space_id=part.space,
            config=dict(settings),
            embed=False,
            # The machine is not part of the run.
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
        self.link = self._run.url or f"trackio show --project {shlex.quote(part.project)}"

    def write(self, values: Mapping[str, float], step: int, generation: int | None = None) -> None:
        """Add a point to each curve; it is stored in the background."""
        section = "" if generation is None else f"generation-{generation:02}/"
        self._run.log({section + key.removeprefix(f"{figures.TRAINING}/" if section else ""): value for key, value in values.items()}, step=step)

    def save(self, name: str, files: Sequence[Path]) -> None:
        """Do nothing: Trackio keeps files by project, not by run."""

    def close(self, status: str) -> None:
        """Store what is left."""
        self._run.finish()
