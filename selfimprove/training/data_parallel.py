"""Trains in several processes on this machine, one per GPU, and hands on the steps of the first. If one fails, all end."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty
from typing import Any

from selfimprove.errors import UserError
from selfimprove.records import TrainingStep
from selfimprove.training.world import World

Work = Callable[[World], Iterator[TrainingStep]]
"""What each process does, given its place among them. Must be picklable."""

BEAT_SECONDS = 0.5


def train_data_parallel(work: Work, processes: int) -> Iterator[TrainingStep]:
    """Yield the steps of the first process as they come. Closing the iterator early ends all processes.

    The processes find each other through a file and talk over loopback, or from GPU to GPU.

    Raises:
        UserError: there are fewer GPUs than processes.
        OSError: the first process could not write its checkpoint.
        torch.multiprocessing.ProcessException: a process failed in another way, or died.
    """
    import torch
    from torch.multiprocessing.spawn import start_processes

    devices = visible_devices(torch.cuda.device_count())
    if devices and len(devices) < processes:
        raise UserError(f"SFT(processes={processes}) needs {processes} GPUs but has {len(devices)}: raise its resources.gpus")
    queue: Any = multiprocessing.get_context("spawn").Queue()
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        context: Any = start_processes(_process, (work, processes, store, devices, queue), processes, join=False, start_method="spawn")  # type: ignore[no-untyped-call]
        try:
            while (item := _next(queue, context)) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
            while not context.join():
                pass
        finally:
            for process in context.processes:
                process.terminate()
            for process in context.processes:
                process.join()


def visible_devices(count: int) -> list[str]:
    """The name of each GPU of this process in `CUDA_VISIBLE_DEVICES`."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def _next(queue: Any, context: Any) -> TrainingStep | BaseException | None:
    """What the first process sends next. Raises ProcessException if a process has failed."""
    while True:
        try:
            return queue.get(timeout=BEAT_SECONDS)  # type: ignore[no-any-return]
        except Empty:
            context.join(timeout=0)


def _process(rank: int, work: Work, processes: int, store: str, devices: list[str], queue: Any) -> None:
    import torch
    import torch.distributed as dist
    from torch.distributed import FileStore  # type: ignore[attr-defined]

    if devices:
        # Each process sees its own GPU alone: transformers would divide each batch among all that it sees.
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[rank]
        torch.cuda.set_device(0)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // processes))
    dist.init_process_group("nccl" if devices else "gloo", store=FileStore(store, processes), rank=rank, world_size=processes)
    try:
        for step in work(World(rank, processes)):
            if rank == 0:
                queue.put(step)
    except OSError as error:
        if rank:
            raise
        queue.put(error)
    if rank == 0:
        queue.put(None)
    dist.barrier()
    dist.destroy_process_group()
