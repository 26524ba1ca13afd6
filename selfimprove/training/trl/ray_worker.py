"""The part of one worker in a training with Ray Train.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerState

from selfimprove.checkpoints.saving import save_checkpoint
from selfimprove.errors import UserError
from selfimprove.training.steps import watch
from selfimprove.training.training_thread import as_step
from selfimprove.training.trl.arguments import shared_arguments

SAVES = 0.2
"""Share of the steps after which the training can be continued when a worker is lost."""


def work(config: dict[str, Any]) -> None:
    """Train to the end; the first worker saves the model. Called by Ray Train in every worker, and again in all of them after one was lost."""
    task = config["task"]
    if ray.get(task.board.ended.remote()):
        return
    try:
        _train(task)
    except Exception as error:
        # What a lost worker does to the others is a RuntimeError or a ConnectionError. Anything else would happen again.
        if isinstance(error, torch.OutOfMemoryError) or not isinstance(error, (RuntimeError, ConnectionError)):
            ray.get(task.board.fail.remote(error))
        raise


def _train(task: Any) -> None:
    context = ray.train.get_context()
    if context.get_local_world_size() * task.nodes != context.get_world_size():
        raise UserError(f"the workers of the training are not on {task.nodes} nodes, the same number on each: change gpus and nodes of the trainer")
    torch.set_num_threads(task.threads or max(1, len(os.sched_getaffinity(0)) // context.get_local_world_size()))
    job, first, scratch = task.job, context.get_world_rank() == 0, Path(task.scratch)
    sharded = torch.cuda.is_available()
    arguments = job.arguments({**shared_arguments(str(scratch), job.seed), **_saving(), **(sharding() if sharded else {})}, context.get_world_size())
    # With FSDP, the first worker sends the others their share of the weights.
    trainer = job.trainer(job.load(empty=bool(arguments.fsdp) and not first), arguments)
    if arguments.fsdp and not trainer.accelerator.is_fsdp2:
        raise UserError("accelerate ignores FSDP here, which needs GPUs: remove `fsdp` from the options")
    before = ray.train.get_checkpoint()
    trainer.add_callback(_Report())
    if before is None:
        watch(trainer, _on_step(task, arguments, first, 0))
        trainer.train()
    else:
        with before.as_directory() as folder:
            state = TrainerState.load_from_json(str(Path(folder) / "trainer_state.json"))
            tokens = 0 if job.counts_on else ray.get(task.board.tokens.remote(state.global_step))
            watch(trainer, _on_step(task, arguments, first, tokens))
            trainer.train(resume_from_checkpoint=folder)
    if trainer.state.global_step == trainer.state.max_steps:
        _save(task, trainer, first)
    if context.get_local_rank() == 0:
        shutil.rmtree(scratch, ignore_errors=True)


def _saving() -> dict[str, Any]:
    return {"save_strategy": "steps", "save_steps": SAVES}


def sharding() -> dict[str, Any]:
    """Training arguments for FSDP2."""
    return {
        "fsdp": True,
        "fsdp_config": {"version": 2, "state_dict_type": "SHARDED_STATE_DICT", "cpu_ram_efficient_loading": True},
        # Else each worker would keep a whole gradient between micro-batches.
        "accelerator_config": {"gradient_accumulation_kwargs": {"sync_each_batch": True}},
    }


def _on_step(task: Any, arguments: Any, first: bool, tokens: int) -> Any:
    """Takes each step. `tokens` came before the trainer began to count."""

    def on_step(step: int, steps: int, measured: dict[str, float]) -> bool:
        go_on = True
        if first:
            measured = {**measured, "num_tokens": measured["num_tokens"] + tokens}
            go_on = ray.get(task.board.add.remote(as_step(step, steps, measured, task.job.figures)))
        told = torch.tensor([go_on], dtype=torch.int32, device=arguments.device)
        dist.broadcast(told, src=0)
        return bool(told.item())

    return on_step


class _Report(TrainerCallback):  # type: ignore[misc]
    """Hands each checkpoint to Ray Train. The shards of all nodes meet in one folder."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        local = ray.train.get_context().get_local_rank() == 0
        ray.train.report(
            {"step": state.global_step},
            checkpoint=ray.train.Checkpoint.from_directory(f"{args.output_dir}/checkpoint-{state.global_step}") if local else None,
            checkpoint_dir_name=f"step-{state.global_step}",
            delete_local_checkpoint_after_upload=local,
        )


def _save(task: Any, trainer: Any, first: bool) -> None:
    """Gather the weights in the main memory of the first worker, which saves them."""
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if first:
        model = task.job.load(empty=True)
        model.load_state_dict(state, assign=True)
        save_checkpoint(task.job.finish(model), task.job.folder, task.into)
    dist.barrier()
