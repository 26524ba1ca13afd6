"""A run mirrored to TensorBoard: event files with curves over generations, and a training curve for each generation."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.dataclasses import dataclass

from selfimprove.terminal.safe_text import plain_line
from selfimprove.tracking import figures
from selfimprove.tracking.charts import OpenCharts, require_package
from selfimprove.tracking.mlflow_page import label

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass(frozen=True, config={"extra": "forbid"})
class TensorBoard:
    """Logs runs to event files that TensorBoard shows. Needs the extra `tensorboard`.

    A run is one line in every chart; its step is the generation. The training of each generation is a line of its own, by optimizer step. A continued
    run goes on in the same files: `tensorboard.json` in the run folder keeps what they have.
    """

    folder: str | None = None
    """Folder for `tensorboard --logdir`, with a folder for each run. None means `tensorboard` beside the run folder."""

    def __post_init__(self) -> None:
        """Refuse to go on without the package. Raises UserError."""
        require_package("tensorboard")

    def open(self, name: str, settings: Mapping[str, Any], folder: Path) -> OpenCharts:
        """Return the tracker of the run in `folder`. Nothing is written yet."""
        logs = (Path(self.folder) if self.folder else folder.parent / "tensorboard").resolve()
        run = figures.legal(label(name, folder.name))
        return OpenCharts("tensorboard", str(logs), folder, lambda number: TensorBoardCharts(logs, f"{run}-{number}", figures.of_settings(settings)))


class TensorBoardCharts:
    """The event files of one run: in its folder, and in a folder inside it for each generation's training."""

    def __init__(self, logs: Path, run: str, settings: Mapping[str, str]) -> None:
        self.link = plain_line(f"tensorboard --logdir {shlex.quote(str(logs))}  →  http://127.0.0.1:6006")
        self._run, self._writers = logs / run, dict[Path, "SummaryWriter"]()
        self.empty = not self._run.exists()
        if self.empty:
            rows = "".join(f"\n| {key} | `{value.replace('|', '¦')}` |" for key, value in settings.items())
            self._writer(self._run).add_text("settings", f"| setting | value |\n|---|---|{rows}", 0)

    def write(self, values: Mapping[str, float], step: int, generation: int | None = None) -> None:
        """Add a point to each curve; it is in the file when this returns."""
        writer = self._writer(self._run if generation is None else self._run / f"generation-{generation:02}")
        for key, value in values.items():
            writer.add_scalar(key, value, step)
        writer.flush()

    def save(self, name: str, files: Sequence[Path]) -> None:
        """Do nothing: event files hold no other files."""

    def close(self, status: str) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, folder: Path) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        if folder not in self._writers:
            self._writers[folder] = SummaryWriter(str(folder))
        return self._writers[folder]
