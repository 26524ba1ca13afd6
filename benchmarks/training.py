"""Trainer tokens/s against stock `SFTTrainer` on the same rows, in turns: `python -m benchmarks.training [MODEL_FOLDER]`."""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, figure, hand_on

COMMAND = "python -m benchmarks.training"
ROWS, BATCH, TURNS, SEED, RATE = 80, 16, 3, 7, 1e-4


def main() -> list[Figure]:
    from transformers.utils.logging import disable_progress_bar

    from benchmarks.machine import describe_machine
    from selfimprove.checkpoints.base_models import EMBEDDED_MODEL, resolve_model
    from selfimprove.checkpoints.precision import computing_type

    disable_progress_bar()

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else resolve_model(EMBEDDED_MODEL)
    rows = arithmetic_rows(ROWS)
    ways = {"stock": train_stock, "ours": train_ours, "tuned": train_tuned, "LoRA": train_adapter}
    peaks, alone, figures = [], [], {name: [] for name in ways}  # type: ignore[var-annotated]
    print(f"{describe_machine()}; {ROWS} rows, {BATCH} per step, {computing_type()}", flush=True)
    for turn in range(TURNS):
        alone.append(products_alone(folder, rows) / matmul_peak())
        # Every other turn backwards, so that a machine that slows down favours nobody.
        for name, train in list(ways.items())[:: -1 if turn % 2 else 1]:
            peaks.append(matmul_peak())
            figures[name].append(measure(train(folder, rows)))
            tokens, loss = figures[name][-1]
            print(f"  turn {turn + 1}  {name:5s}  {tokens:6.0f} tokens/s   final loss {loss:.4f}", flush=True)
    shapes = figure("matrix products of a step alone ÷ matmul peak", "", alone, COMMAND, note="upper bound from the model's shapes")
    return [*report(folder, rows, figures, statistics.median(peaks)), shapes]


def arithmetic_rows(count: int) -> list[Any]:
    """Return rows like the quickstart's: sums of two or three one-digit terms, worked out step by step."""
    from selfimprove.records import AcceptedTrace

    draw, rows = random.Random(SEED), []
    for index in range(count):
        terms = [draw.randint(1, 9) for _ in range(draw.choice((2, 3)))]
        question, total, steps = str(terms[0]), terms[0], []
        for term in terms[1:]:
            sign = draw.choice("+-")
            before, total = total, total + term if sign == "+" else total - term
            question += f" {sign} {term}"
            steps.append(f"{before} {sign} {term} = {total}.")
        messages = (
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": f"State the final answer to the following arithmetic problem: {question} ="},
        )
        rows.append(AcceptedTrace(f"t{index}", f"p{index}", messages, "<think>\n" + "\n".join(steps) + f"\n</think>\n{total}", "sampled", 1))
    return rows


Tick = tuple[float, int, float]
"""Clock time in seconds, tokens so far, loss of the step."""


def train_adapter(folder: Path, rows: list[Any]) -> Iterator[Tick]:
    return train_ours(folder, rows, {"r": 16, "target_modules": "all-linear"})


def train_ours(folder: Path, rows: list[Any], lora: dict[str, Any] | None = None) -> Iterator[Tick]:
    from selfimprove.records import Checkpoint
    from selfimprove.training.sft import SFT

    trainer = SFT(epochs=1, learning_rate=RATE, batch_size=BATCH, max_length=512, warmup=0.0, lora=lora).open()
    with tempfile.TemporaryDirectory() as scratch:
        for step in trainer.train(Checkpoint("base", str(folder), None, 0, "", ""), rows, Path(scratch) / "out", SEED):
            yield time.perf_counter(), step.tokens, step.loss


def train_tuned(folder: Path, rows: list[Any]) -> Iterator[Tick]:
    """Train with `SFTTrainer` as one who knows it would: bf16 only where the machine multiplies it fast."""
    import torch

    from selfimprove.checkpoints.precision import computing_type

    return train_stock(folder, rows, gradient_checkpointing=False, bf16=computing_type() is torch.bfloat16, padding_free=True, max_length=None)


def train_stock(folder: Path, rows: list[Any], **tuned: Any) -> Iterator[Tick]:
    """Train with `SFTTrainer` as a newcomer would, on the same tokens and labels; settings that affect speed keep their defaults, if not `tuned`."""
    from datasets import Dataset
    from transformers import AutoTokenizer, PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from selfimprove.training.rows import tokenize_row

    ticks: list[Tick] = []

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            if logs and "loss" in logs:
                ticks.append((time.perf_counter(), int(logs["num_tokens"]), logs["loss"]))

    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = [tokenize_row(tokenizer, row) for row in rows]
    data = [{"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer} for prompt, answer in pairs]
    with tempfile.TemporaryDirectory() as scratch:
        plain = {
            "output_dir": scratch,
            "use_cpu": True,
            "per_device_train_batch_size": BATCH,
            "max_length": 512,
            "learning_rate": RATE,
            "num_train_epochs": 1,
            "seed": SEED,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "dataset_kwargs": {"skip_prepare_dataset": True},
        }
        settings = SFTConfig(**{**plain, **tuned})
        trainer = SFTTrainer(str(folder), args=settings, train_dataset=Dataset.from_list(data), processing_class=tokenizer, callbacks=[Watch()])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    yield from ticks


def measure(ticks: Iterator[Tick]) -> tuple[float, float]:
    """Return median tokens/s over the steps after the first, and the mean loss of the last two steps."""
    kept = list(ticks)
    rates = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(kept)]
    return statistics.median(rates), statistics.mean(loss for _, _, loss in kept[-2:])


def matmul_peak() -> float:
    """Return the GFLOP/s of a product of two 2,048 × 2,048 matrices of the computing type: the best within half a second."""
    import torch

    from selfimprove.checkpoints.precision import computing_type

    left, right = (torch.randn(2048, 2048, dtype=computing_type()) for _ in range(2))
    return 2 * 2048**3 / best_time(lambda: left @ right, 0.5) / 1e9


def best_time(work: Callable[[], object], seconds: float) -> float:
    end, best = time.perf_counter() + seconds, float("inf")
    while (start := time.perf_counter()) < end:
        work()
        best = min(best, time.perf_counter() - start)
    return best


def products_alone(folder: Path, rows: list[Any]) -> float:
    """Return the GFLOP/s of one step's matrix products alone, forward and backward: the upper bound that the model's shapes allow."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from selfimprove.checkpoints.precision import computing_type
    from selfimprove.training.rows import tokenize_row
    from selfimprove.training.small.packing import pack

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    head = model.get_output_embeddings()
    pairs = [tokenize_row(AutoTokenizer.from_pretrained(folder), row) for row in rows[:BATCH]]
    step = pack([{"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer} for prompt, answer in pairs])
    tokens, scored = step["input_ids"].shape[1], int((step["labels"] != -100).sum())
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    shapes = Counter((scored if layer is head else tokens, layer.in_features, layer.out_features) for layer in layers)
    work = seconds = 0.0
    for (height, inner, outer), count in shapes.items():
        states, weight, gradient = (torch.randn(size, dtype=computing_type()) for size in ((height, inner), (outer, inner), (height, outer)))
        ways = (
            partial(torch.nn.functional.linear, states, weight),
            partial(torch.matmul, gradient, weight),
            partial(torch.matmul, gradient.t(), states),
        )
        work += count * len(ways) * 2 * height * inner * outer
        seconds += count * sum(best_time(way, 0.3) for way in ways)
    return work / seconds / 1e9


def flops_per_token(folder: Path, rows: list[Any]) -> float:
    """Return 6 × parameters: the layers' for every token, the head's for tokens with a loss; the embedding is looked up, not multiplied."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from selfimprove.training.rows import tokenize_row

    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings().weight.numel()
    layers = sum(weight.numel() for weight in model.parameters()) - head * (1 if config.tie_word_embeddings else 2)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = [tokenize_row(tokenizer, row) for row in rows]
    scored = sum(len(completion) for _, completion in pairs) / sum(len(prompt) + len(completion) for prompt, completion in pairs)
    return float(6 * (layers + head * scored))


def report(folder: Path, rows: list[Any], figures: dict[str, list[tuple[float, float]]], peak: float) -> list[Figure]:
    work = flops_per_token(folder, rows)
    rates = {name: statistics.median(rate for rate, _ in turns) for name, turns in figures.items()}
    print(f"matmul peak {peak:.0f} GFLOP/s; {work / 1e9:.2f} GFLOP per token")
    for name, turns in figures.items():
        done = rates[name] * work / 1e9
        print(f"{name:5s} {rates[name]:6.0f} tokens/s  {done:5.0f} GFLOP/s  {done / peak:4.0%} of peak   loss {turns[-1][1]:.4f}")
    ratios, over_tuned = (
        [ours / theirs for (ours, _), (theirs, _) in zip(figures["ours"], figures[name], strict=True)] for name in ("stock", "tuned")
    )
    adapter = [lora / ours for (lora, _), (ours, _) in zip(figures["LoRA"], figures["ours"], strict=True)]
    medians = (statistics.median(each) for each in (ratios, over_tuned, adapter))
    print("ours / stock: {:.2f}; ours / tuned stock: {:.2f}; LoRA / full: {:.2f}".format(*medians))
    losses = f"final losses {figures['ours'][-1][1]:.3f} and {figures['stock'][-1][1]:.3f}"
    shares = [rate * work / 1e9 / peak for rate, _ in figures["ours"]]
    return [
        figure("trainer tokens/s ÷ stock `SFTTrainer`", "≥ 2", ratios, COMMAND, note=losses),
        figure("trainer tokens/s ÷ tuned `SFTTrainer`", "≥ 1", over_tuned, COMMAND, note="no checkpointing, no padding"),
        figure("trainer FLOP/s ÷ matmul peak", "≥ 0.6", shares, COMMAND, note=f"peak {peak:.0f} GFLOP/s"),
        figure("trainer tokens/s, LoRA ÷ full fine-tuning", "", adapter, COMMAND, note="r = 16 on every linear layer"),
    ]


if __name__ == "__main__":
    from selfimprove import SFT

    # As a worker has it, and for every way alike. These settings are read when the process starts.
    if not os.environ.items() >= (settings := SFT().environment()).items():
        os.execve(sys.executable, sys.orig_argv, os.environ | settings)
    hand_on(main())
