"""How many workers train together, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workers:
    """Workers of one training, each with a GPU of its own if there are any."""

    count: int = 1
    nodes: int = 1
    """Nodes that they are spread over evenly."""
    cpus: float = 0.5
    """CPUs that the scheduler counts for each."""
    gpus: float | None = None
    """GPUs that each reserves. None: one, if the cluster has any."""
