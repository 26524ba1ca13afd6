"""How much disk the checkpoints of a run need at once, and whether it is there."""

from __future__ import annotations

import shutil
from pathlib import Path

from selfimprove.checkpoints.base_models import model_cache
from selfimprove.checkpoints.folders import TOKENIZER_FILES
from selfimprove.checkpoints.weights import numbers
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.sizes import gigabytes
from selfimprove.workflow.workflow import Workflow


def disk_room(workflow: Workflow, model: Path, run_dir: str) -> tuple[bool, str]:
    """Whether the disk holds the checkpoints of a run, and a line that says so. Traces are small beside them and not counted.

    Args:
        workflow: What runs.
        model: The folder of the base model.
        run_dir: The folder of the run, or its URL, which needs a copy in the cache.
    """
    one, most = checkpoint_bytes(model), checkpoints_at_once(workflow)
    place = model_cache() / "runs" if "://" in run_dir else Path(run_dir).absolute()
    run = RunFolder(place)
    there = sum(size for number in run.generations() for size in run.checkpoints(number).values())
    parent = next(folder for folder in (place, *place.parents) if folder.exists())
    free, needed = shutil.disk_usage(parent).free + there, one * most
    keep = workflow.keep_checkpoints
    told = f"checkpoints of about {gigabytes(one)}, at most {most} at once with keep_checkpoints={keep}: {gigabytes(needed)}"
    told += f"; {gigabytes(free)} are free in {parent}"
    if needed <= free:
        return True, told
    fewer = "" if keep == "champion" else 'keep fewer (keep_checkpoints="champion"), '
    return False, f"{told}: {fewer}free some, or give --run-dir on a larger disk"


def checkpoint_bytes(model: Path) -> int:
    """Bytes of a checkpoint that is trained from this model: its weights in bfloat16, and its tokenizer."""
    return 2 * numbers(model) + sum(file.stat().st_size for name in TOKENIZER_FILES if (file := model / name).is_file())


def checkpoints_at_once(workflow: Workflow) -> int:
    """The largest number of checkpoints that a run has on disk: those that are kept or needed, the last candidate, and the one in training."""
    every, total = [workflow.of_generation(number) for number in range(1, workflow.generations + 1)], workflow.generations
    # Checkpoints beside the candidate: before the training on pairs, without rationalized or retried rows, and averaged.
    beside = int(any(one.preference_pairs and one.preference_pairs.trainer for one in every))
    beside += sum(bool(rule and rule.ablation) for rule in (workflow.rationalization, workflow.retry))
    averaged = int(workflow.average is not None)
    beside += averaged
    in_training = 2 * any(one.reinforcement is not None and one.reinforcement.needs_rollouts for one in every)
    controls = len(workflow.all_controls) * (1 + averaged) * (total if any(one.start_from == "champion" for one in every) else 1)
    if workflow.keep_checkpoints == "all":
        return total * (1 + beside) + in_training + controls
    last = 1 if workflow.keep_checkpoints == "champion" else workflow.keep_checkpoints
    return min(total, last + 1 + workflow.overlap + 1) + min(total, 2) * beside + in_training + controls
