"""The GPUs that a run would find if it started now."""

from __future__ import annotations

import os
import sys


def gpus_in_sight() -> tuple[float, ...]:
    """GPUs of each node: of the cluster that this process has joined or that `RAY_ADDRESS` names, else of this machine.

    Raises:
        UserError: no cluster answers at `RAY_ADDRESS`.
    """
    from selfimprove.cluster.ray_cluster import RayCluster, gpus_of_nodes

    # Ray takes a second to import, and is not needed to count what is here.
    if (ray := sys.modules.get("ray")) and ray.is_initialized():
        return gpus_of_nodes()
    if os.environ.get("RAY_ADDRESS"):
        with RayCluster():
            return gpus_of_nodes()
    import torch

    return (float(torch.cuda.device_count()),)
