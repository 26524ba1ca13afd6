"""The address of MLflow's store, the environment of its client, and the link to its pages."""

from __future__ import annotations

import logging
import os
import shlex
from pathlib import Path

from selfimprove.tracking.mlflow_page import VIEW

ENVIRONMENT = {
    # By default, one call to a server that does not answer blocks for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Environment variables to set before MLflow is imported, unless the user has set them."""


def make_ready() -> None:
    """Set the environment that MLflow reads when it is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def store_address(uri: str | None) -> str:
    """The store's address. A SQLite file gets an absolute path, so that it does not depend on the current folder."""
    address = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///runs/mlflow.db"
    scheme, _, path = address.partition(":///")
    return f"sqlite:///{Path(path).resolve()}" if scheme == "sqlite" else address


def artifacts_beside(uri: str) -> str | None:
    """A folder beside a SQLite file, without which artifacts would go to the current folder; None for a server, which has its own place."""
    return (Path(uri.removeprefix("sqlite:///")).parent / "mlflow-artifacts").as_uri() if uri.startswith("sqlite:///") else None


def link_to(uri: str, experiment_id: str) -> str:
    """The address of the curves over generations; if there is no server, the command that serves them comes first."""
    view = f"/#/experiments/{experiment_id}/runs?compareRunsMode=CHART&workflowType=machine_learning&viewStateShareKey={VIEW}"
    if uri.startswith("http"):
        return uri.rstrip("/") + view
    # Without its job runner, the server takes a fifth of the memory.
    return f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --backend-store-uri {shlex.quote(uri)}  →  http://127.0.0.1:5000{view}"
