"""Takes turns on the accelerator: the sampler's engine frees its memory before another part uses it."""

from __future__ import annotations

from selfimprove.protocols import Cluster, Sampler, Worker, WorkerPart


def hand_over(cluster: Cluster, sampler: Sampler, role: str, part: WorkerPart) -> Worker:
    """The worker of `part`, after the sampler has freed the accelerator if the two share one; the sampler's next call wakes it."""
    engine = cluster.open("sampler", sampler)
    if not cluster.apart("sampler", part):
        engine.call("rest")
    return cluster.open(role, part)
