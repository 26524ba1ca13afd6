"""The steps of `python -m benchmarks.gpu`: each is a function that measures something in a process of its own and returns figures.

With `small`, a step runs the same code on tiny models, which shows that it works and nothing else.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from benchmarks.figures import Figure, figure
from benchmarks.gpu_models import COMMAND, model
from benchmarks.gpu_sampling import bare, loop
from benchmarks.random_models import random_rows
from selfimprove.checkpoints.memory import Engine, training_memory
from selfimprove.checkpoints.shape import read_shape
from selfimprove.terminal.progress import NoProgress

GIB = 1 << 30


def matmul(folder: Path, small: bool) -> list[Figure]:
    """The fastest product of two bfloat16 matrices."""
    import torch

    device, size, rates = "cuda" if torch.cuda.is_available() else "cpu", 256 if small else 8192, []
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))
    for _ in range(3 if small else 20):
        began = time.perf_counter()
        (left @ right)[0, 0].item()
        rates.append(2 * size**3 / (time.perf_counter() - began) / 1e12)
    return [figure("bf16 matmul peak", "", [max(rates)], f"{COMMAND} matmul", "TFLOP/s", f"{size} × {size}")]


Ticks = Iterator[tuple[float, int]]
"""Clock time in seconds and tokens so far, after each step."""


def _rate(ticks: Ticks) -> float:
    """Median tokens/s over the steps after the first two, which wait for kernels."""
    kept = list(ticks)[1:]
    return statistics.median((after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(kept))


def train(name: str, rows: int, length: int, folder: Path, small: bool) -> list[Figure]:
    """Training as in a run, and what the process holds afterwards."""
    import torch
    from transformers import AutoTokenizer

    from selfimprove import SFT
    from selfimprove.records import Checkpoint

    place, steps, there = model(name, folder, small), 4 if small else 8, torch.cuda.is_available()
    rows, length = (2, 96) if small else (rows, length)
    data = random_rows(AutoTokenizer.from_pretrained(place), rows * steps, length)
    opened = SFT(epochs=1, learning_rate=1e-5, batch_size=rows, max_length=length, warmup=0.0).open()
    if there:
        torch.cuda.reset_peak_memory_stats()

    def ticks() -> Ticks:
        for step in opened.train(Checkpoint("base", str(place), None, 0, "", ""), data, Path(scratch) / "out", 7):
            if there:
                torch.cuda.synchronize()
            yield time.perf_counter(), step.tokens

    with tempfile.TemporaryDirectory() as scratch:
        rate = _rate(ticks())
    opened.close()
    gc.collect()
    told, command = f"{name}, {rows} rows of up to {length:,} tokens", f"{COMMAND} train-{name}-{length}"
    found = [figure(f"{told}: trained tokens/s", "", [rate], command, "1/s", f"{6 * read_shape(place).parameters * rate / 1e12:.3g} TFLOP/s")]
    if there:
        peak, left = torch.cuda.max_memory_allocated(), torch.cuda.memory_reserved()
        most = rows * length
        ways: dict[str, tuple[Engine, bool]] = {"small": ("small", False), "trl": ("trl", False), "trl, checkpointing": ("trl", True)}
        expected = {way: training_memory(read_shape(place), engine, most, checkpointing=again).peak for way, (engine, again) in ways.items()}
        note = "memory model, full rows at once: " + ", ".join(f"{way} {size / GIB:.1f}" for way, size in expected.items())
        found.append(figure(f"{told}: peak memory", "", [peak / GIB], command, "GiB", note))
        found.append(figure(f"{told}: memory left after training", "≤ 1", [left / GIB], command, "GiB"))
    return found


def stock(name: str, rows: int, length: int, folder: Path, small: bool) -> list[Figure]:
    """TRL's `SFTTrainer` on the same rows, tuned: bfloat16, no padding, no checkpointing, a fused optimizer."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from selfimprove.training.rows import tokenize_row

    place, steps, there = model(name, folder, small), 4 if small else 8, torch.cuda.is_available()
    rows, length = (2, 96) if small else (rows, length)
    tokenizer, ticks = AutoTokenizer.from_pretrained(place), list[tuple[float, int]]()

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            if logs and "loss" in logs:
                if there:
                    torch.cuda.synchronize()
                ticks.append((time.perf_counter(), int(logs["num_tokens"])))

    pairs = [tokenize_row(tokenizer, row) for row in random_rows(tokenizer, rows * steps, length)]
    data = [{"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer} for prompt, answer in pairs]
    with tempfile.TemporaryDirectory() as scratch:
        settings = SFTConfig(
            output_dir=scratch,
            use_cpu=not there,
            bf16=True,
            gradient_checkpointing=False,
            padding_free=True,
            max_length=None,
            optim="adamw_torch_fused",
            per_device_train_batch_size=rows,
            learning_rate=1e-5,
            num_train_epochs=1,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        SFTTrainer(str(place), args=settings, train_dataset=Dataset.from_list(data), processing_class=tokenizer, callbacks=[Watch()]).train()
    told = f"{name}, {rows} rows of up to {length:,} tokens: tokens/s of tuned stock `SFTTrainer`"
    return [figure(told, "", [_rate(iter(ticks))], f"{COMMAND} stock-{name}-{length}", "1/s")]


class Moments(NoProgress):
    """Notes when each optimizer step was done; rollouts have no loss."""

    def __init__(self) -> None:
        self.when = [time.perf_counter()]

    def advance(self, items: int, *, loss: float | None = None, **_: Any) -> None:
        if items and loss is not None:
            self.when.append(time.perf_counter())


def grpo(rollouts: Literal["sampler", "trainer"], folder: Path, small: bool) -> list[Figure]:
    """Reinforcement as in a run: seconds of a step, rollouts included."""
    from selfimprove import GRPO, SFT, VLLM, InlineCluster, LastNumber, RayCluster, Workflow
    from selfimprove.checkpoints.folders import describe_folder
    from selfimprove.problems.addition import Addition
    from selfimprove.records import ReinforcementPrompt
    from selfimprove.stages.context import RunContext
    from selfimprove.stages.roll_out import roll_out
    from selfimprove.stages.train import train as train_stage
    from selfimprove.storage.run_folder import RunFolder

    place, few, longest, source = model("135M", folder, small), 2 if small else 8, 8 if small else 256, Addition(size=8)
    base, problems = describe_folder(place, "base"), list(source.load())
    part = GRPO(steps=3 if small else 6, problems_per_step=few, group_size=few, max_tokens=longest, rollouts=rollouts)
    workflow = Workflow(
        name="bench", problems=source, eval_problems=1, verifier=LastNumber(), sampler=VLLM(engine={"max_model_len": 2048}), trainer=SFT()
    )
    prompts = [ReinforcementPrompt(problem, workflow.prompter.messages(problem)) for problem in problems]
    part, moments = replace(part, verifiers=workflow.verifiers), Moments()
    with tempfile.TemporaryDirectory() as scratch, closing(InlineCluster() if small else RayCluster()) as cluster:
        context = RunContext(
            workflow=workflow, run=RunFolder(Path(scratch)), cluster=cluster, base=base, problems=problems, eval_problems=[], progress=moments
        )
        answer = partial(roll_out, context, problems=problems, verifiers=workflow.verifiers)
        _, steps = train_stage(context, base, prompts, Path(scratch) / "grpo", "grpo", trainer=part, roll_out=answer)
    # The first two steps wait for kernels and, where the sampler writes, for its engine.
    seconds = [after - before for before, after in pairwise(moments.when)][1 if small else 2 :]
    note = f"{statistics.median(step.figures['rollout_tokens'] for step in steps):,.0f} rollout tokens a step"
    return [figure(f"135M: seconds of a GRPO step, rollouts by the {rollouts}", "", seconds, f"{COMMAND} grpo-{rollouts}", "s", note)]


STEPS: dict[str, tuple[Callable[[Path, bool], list[Figure]], float]] = {
    "matmul": (matmul, 30),
    "train-135M-512": (lambda folder, small: train("135M", 32, 512, folder, small), 60),
    "stock-135M-512": (lambda folder, small: stock("135M", 32, 512, folder, small), 50),
    "train-1.5B-2048": (lambda folder, small: train("1.5B", 8, 2048, folder, small), 80),
    "train-1.5B-8000": (lambda folder, small: train("1.5B", 8, 8000, folder, small), 80),
    "loop-135M": (lambda folder, small: loop("135M", folder, small), 110),
    "bare-135M": (lambda folder, small: bare("135M", folder, small), 90),
    "loop-1.5B": (lambda folder, small: loop("1.5B", folder, small), 120),
    "bare-1.5B": (lambda folder, small: bare("1.5B", folder, small), 100),
    "grpo-sampler": (partial(grpo, "sampler"), 100),
    "grpo-trainer": (partial(grpo, "trainer"), 60),
}
"""Each step with the seconds after which it is ended."""
NEED_VLLM = frozenset({"loop-135M", "bare-135M", "loop-1.5B", "bare-1.5B", "grpo-sampler"})
