"""Trackers by the names that the command line gives them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selfimprove.protocols import Tracker

NAMES = ("mlflow", "tensorboard", "wandb", "trackio")


def require(names: Sequence[str] | None) -> None:
    """Refuse names that do not go together, and trackers that are not installed.

    Raises:
        UserError: The message says what to change.
    """
    from selfimprove.errors import UserError

    if names and "none" in names and len(set(names)) > 1:
        raise UserError("--tracker none goes with no other tracker; leave out one of them")
    trackers(names, Path())


def trackers(names: Sequence[str] | None, run: Path, group: str | None = None) -> list[Tracker]:
    """These trackers, for a run in this folder: their files are beside it. None means MLflow; `none` means no tracker.

    Runs of the same `group` are shown together by the trackers that can.

    Raises:
        UserError: The package of one of them is not installed.
    """
    return [_tracker(name, run.parent, group) for name in dict.fromkeys(names or ["mlflow"]) if name != "none"]


def trackers_of(run: Path) -> list[Tracker]:
    """The trackers that have this run; MLflow if none has it."""
    return trackers([name for name in NAMES if (run / f"{name}.json").exists()], run)


def _tracker(name: str, beside: Path, group: str | None) -> Tracker:
    # One library of these takes seconds to import, and few people have all.
    if name == "tensorboard":
        from selfimprove.tracking.tensorboard import TensorBoard

        return TensorBoard()
    if name == "wandb":
        from selfimprove.tracking.wandb import WandB

        return WandB(group=group)
    if name == "trackio":
        from selfimprove.tracking.trackio import Trackio

        return Trackio(group=group)
    from selfimprove.tracking.mlflow import MLflow

    return MLflow(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{beside / 'mlflow.db'}", group=group)
