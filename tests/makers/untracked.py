"""Commands without MLflow, which adds several seconds to a toy run."""

from __future__ import annotations

import pytest

from selfimprove.protocols.no_tracker import NoTracker

UNTRACKED = "import pytest, untracked\nuntracked.leave_out_mlflow(pytest.MonkeyPatch())\n"
"""First lines of a workflow file that a process of its own runs."""


def leave_out_mlflow(patch: pytest.MonkeyPatch) -> None:
    """Let commands and workflow files that are loaded from now on have no tracker."""
    for place in ("selfimprove.MLflow", "selfimprove.tracking.mlflow.MLflow"):
        patch.setattr(place, lambda uri=None, group=None: NoTracker())
