"""Trains in several processes of this machine, one to a GPU, and hands out the steps of the first; where one fails, all end."""

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
"""What each process does, from its place among them; can be pickled."""

BEAT_SECONDS = 0.5


def train_together(work: Work, processes: int) -> Iterator[TrainingStep]:
    """The steps of the first of these processes, as they come. Whoever closes the iterator early ends all of them.

    They find each other by a file and talk over loopback, or from GPU to GPU.

    Raises:
        UserError: there are fewer GPUs than processes.
        OSError: the first process raised it: its checkpoint cannot be written.
        torch.multiprocessing.ProcessException: another failed, or one died.
    """
    import torch
    from torch.multiprocessing.spawn import start_processes

    devices = visible_devices(torch.cuda.device_count())
    if devices and len(devices) < processes:
        raise UserError(f"SFT(processes={processes}) trains on as many GPUs, and it has {len(devices)}: raise its resources.gpus")
    queue: Any = multiprocessing.get_context("spawn").Queue()
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        context: Any = start_processes(_one, (work, processes, store, devices, queue), processes, join=False, start_method="spawn")  # type: ignore[no-untyped-call]
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
    """What `CUDA_VISIBLE_DEVICES` calls each of the GPUs of this process."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def _next(queue: Any, context: Any) -> TrainingStep | BaseException | None:
    """What the first process says next. Raises ProcessException where one of them has failed."""
    while True:
        try:
            return queue.get(timeout=BEAT_SECONDS)  # type: ignore[no-any-return]
        except Empty:
            context.join(timeout=0)


def _one(rank: int, work: Work, processes: int, store: str, devices: list[str], queue: Any) -> None:
    """One of the processes."""
    import torch
    import torch.distributed as dist
    from torch.distributed import FileStore  # type: ignore[attr-defined]

    if devices:
        # Each sees its own alone: transformers would else divide every batch among all that it sees.
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
