"""Runs a job in the workers of Ray Train: FSDP2 on GPUs, plain data parallelism on CPUs. A lost worker costs the steps since the last checkpoint."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfimprove.errors import UserError, WorkerFailed
from selfimprove.records import TrainingStep
from selfimprove.training.trl.board import Board
from selfimprove.training.trl.job import Job
from selfimprove.training.trl.workers import Workers

LOSSES = 3
"""Losses of a worker or node that one training survives."""
BEAT_SECONDS = 0.2


@dataclass(frozen=True)
class Task:
    """What each worker gets."""

    job: Job
    into: Path
    board: Any
    """The actor of the `Board`."""
    threads: int | None
    nodes: int
    scratch: str
    """A folder on the disk of each node."""


def train_on_workers(job: Job, into: Path, workers: Workers, threads: int | None) -> Iterator[TrainingStep]:
    """Yield the steps as they come; the first worker saves the model. Closing the iterator early ends all workers, and nothing is saved.

    Runs where the Ray is that this process belongs to, else on the cluster that `RAY_ADDRESS` names, else on one of its own.

    Raises:
        UserError: the cluster has not the nodes or GPUs for the workers, or the job refuses its settings.
        OSError: the checkpoint cannot be written.
        WorkerFailed: workers were lost more often than `LOSSES`.
    """
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from selfimprove.training.trl.ray_worker import work

    into = into.resolve()
    store = into.with_name(f".{into.name}.training")
    with _connected():
        share = _share(workers)
        board = ray.remote(num_cpus=0)(Board).remote()
        task = Task(job, into, board, threads, workers.nodes, f"{tempfile.gettempdir()}/selfimprove-{uuid.uuid4().hex}")
        trainer = TorchTrainer(
            work,
            train_loop_config={"task": task},
            torch_config=TorchConfig(backend="nccl" if share else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=workers.count,
                use_gpu=bool(share),
                resources_per_worker={"CPU": max(workers.cpus, 0.01)} | ({"GPU": share} if share else {}),
                placement_strategy="STRICT_PACK" if workers.nodes == 1 else "STRICT_SPREAD" if workers.nodes == workers.count else "PACK",
            ),
            run_config=RunConfig(
                name="steps",
                storage_path=str(store),
                failure_config=FailureConfig(max_failures=LOSSES),
                checkpoint_config=CheckpointConfig(num_to_keep=1),
            ),
        )
        try:
            with ThreadPoolExecutor(1, "ray-train") as pool:
                yield from _steps(board, pool.submit(trainer.fit))
            if error := ray.get(board.error.remote()):
                raise error
        finally:
            ray.kill(board)
            shutil.rmtree(store, ignore_errors=True)


def _steps(board: Any, running: Future[Any]) -> Iterator[TrainingStep]:
    import ray

    try:
        last = 0
        while True:
            ended = wait([running], timeout=BEAT_SECONDS).done
            for step in ray.get(board.after.remote(last)):
                yield step
                last = step.step
            if ended:
                break
    finally:
        ray.get(board.stop.remote())
    try:
        running.result()
    except ray.train.TrainingFailedError as error:
        raise WorkerFailed(f"the training's workers failed {LOSSES + 1} times: {_last_line(error)}") from error


@contextmanager
def _connected() -> Iterator[None]:
    """Ray, joined or started if this process does not belong to one."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(address=os.environ.get("RAY_ADDRESS", "local"), include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()


def _share(workers: Workers) -> float:
    """GPUs that each worker reserves; 0 on a cluster without any.

    Raises:
        UserError: the cluster has GPUs, but not on enough nodes. Ray would wait for ever.
    """
    import ray

    share = (1.0 if workers.gpus is None else workers.gpus) if ray.cluster_resources().get("GPU") else 0.0
    needed = share * workers.count / workers.nodes
    wide = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0.0) >= needed]
    if len(wide) < workers.nodes and not os.environ.get("SELFIMPROVE_AUTOSCALE"):
        raise UserError(
            f"training in {workers.count} workers takes {workers.nodes} nodes with {needed:g} GPUs each, but the cluster has {len(wide)}: "
            "change gpus and nodes of the trainer, or set SELFIMPROVE_AUTOSCALE=1 if nodes are started on demand"
        )
    return share


def _last_line(error: BaseException) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
