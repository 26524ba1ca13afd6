"""Who computes now: the sampler's engine frees its memory before another part takes the accelerator."""

from __future__ import annotations

from typing import Any

from selfimprove.protocols import Cluster, Sampler, Worker


def hand_over(cluster: Cluster, sampler: Sampler, role: str, part: Any) -> Worker:
    """The worker of `part`, after the sampler has freed the accelerator; the sampler's next call wakes it."""
    cluster.open("sampler", sampler).call("rest")
    return cluster.open(role, part)
