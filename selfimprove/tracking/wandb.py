"""A run mirrored to Weights & Biases: one run there, with curves over generations and a training curve for each generation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from selfimprove.terminal.safe_text import plain_line
from selfimprove.tracking import figures
from selfimprove.tracking.charts import OpenCharts, require_package
from selfimprove.tracking.mlflow_page import label


@dataclass(frozen=True, config={"extra": "forbid"})
class WandB:
    """Logs runs to Weights & Biases. Needs the extra `wandb`, and either a key (`wandb login`) or the mode `offline`.

    The step of every chart is the generation; the training of generation 1 is in the section `generation-01`, by optimizer step. A continued run goes
    on under the same id, which `wandb.json` in the run folder keeps.
    """

    project: str = "selfimprove"
    """Project that holds the runs."""
    entity: str | None = None
    """User or team that owns the project; None for the one of the key."""
    mode: Literal["online", "offline"] | None = None
    """`offline` keeps the run in the folder `wandb` beside the run folder until `wandb sync` sends it. None means `WANDB_MODE`, or `online`."""

    group: str | None = None
    """Group of the run, such as that of runs with several seeds."""

    def __post_init__(self) -> None:
        """Refuse to go on without the package. Raises UserError."""
        require_package("wandb")

    def open(self, name: str, settings: Mapping[str, Any], folder: Path) -> OpenCharts:
        """Return the tracker of the run in `folder`. Nothing is sent yet."""
        place = f"{self.entity or ''}/{self.project}"
        return OpenCharts("wandb", place, folder, lambda number: WandBCharts(self, number, plain_line(label(name, folder.name)), settings, folder))


class WandBCharts:
    """The run of this id."""

    empty = False

    def __init__(self, part: WandB, number: str, name: str, settings: Mapping[str, Any], folder: Path) -> None:
        import wandb

        mode = part.mode or os.environ.get("WANDB_MODE") or "online"
        # Without a key, `init` would wait for one at a prompt that nobody sees.
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            raise RuntimeError("there is no key; run `wandb login`, or set WANDB_MODE=offline")
        self._run = wandb.init(
            entity=part.entity,
            project=part.project,
            id=number,
            name=name,
            group=part.group,
            resume="allow",
            config=figures.of_settings(settings),
            dir=str(folder.parent),
            mode=mode,
            # The command line may hold secrets, and the screen is ours.
            settings=wandb.Settings(console="off", silent=True, disable_git=True, save_code=False, x_disable_meta=True, x_disable_stats=True),
            reinit="create_new",
        )
        self._run.define_metric("generation", hidden=True)
        self._run.define_metric("*", step_metric="generation")
        self._trained: set[int] = set()
        self.link = self._run.url or f"wandb sync {Path(self._run.dir).parent}"

    def write(self, values: Mapping[str, float], step: int, generation: int | None = None) -> None:
        """Add a point to each curve; it is sent in the background."""
        if generation is None:
            self._run.log({**values, "generation": step})
            return
        section = f"generation-{generation:02}"
        if generation not in self._trained:
            self._trained.add(generation)
            self._run.define_metric(f"{section}/step", hidden=True)
            self._run.define_metric(f"{section}/*", step_metric=f"{section}/step")
        self._run.log({f"{section}/{key.removeprefix(f'{figures.TRAINING}/')}": value for key, value in {**values, "step": step}.items()})

    def save(self, name: str, files: Sequence[Path]) -> None:
        """Upload the files; they are on the run's page under *Files*."""
        for file in files:
            self._run.save(str(file), base_path=str(file.parent), policy="now")

    def close(self, status: str) -> None:
        """Send what is left. A run that did not finish is shown as failed."""
        self._run.finish(exit_code=0 if status == "FINISHED" else 1)
