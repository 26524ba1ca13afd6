"""Who has the GPU now: the sampler's engine frees its memory before another part uses the GPU, and other parts free theirs when their call ends."""

from __future__ import annotations

from selfimprove.protocols import Cluster, Worker, WorkerPart


def hand_over(cluster: Cluster, role: str, part: WorkerPart, same_weights: bool = False) -> Worker:
    """The worker of `part`, after the sampler has freed the GPU if the two share one; the sampler's next call wakes it.

    Args:
        same_weights: Whether the sampler goes on with the checkpoint that it holds. Otherwise its engine forgets the weights, since others come.
    """
    if (sampler := cluster.opened("sampler")) and not cluster.apart("sampler", part):
        sampler.call("rest", *((True,) if same_weights else ()))
    return cluster.open(role, part)


def left_on_gpu(cluster: Cluster, role: str) -> int | None:
    """Bytes of GPU memory that the worker in this role holds although its work is done; None where no such worker has used a GPU."""
    worker = cluster.opened(role)
    return worker.gpu_memory() if worker else None
