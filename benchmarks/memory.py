"""Which training fits on which GPU, by the memory model; `--check` compares the model with what torch allocates here for small shapes.

`python -m benchmarks.memory` prints the tables of docs/how-to/one_gpu.md and docs/how-to/many_gpus.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.random_models import QWEN, random_model, shape
from selfimprove.checkpoints.memory import Engine, Precision, sampling_memory, tokens_that_fit, training_memory
from selfimprove.checkpoints.shape import Shape, read_shape
from selfimprove.training.trl.budget import GPU_TOKENS

CARDS = (24, 48, 80, 141)
"""Sizes of GPUs in GB, as they are sold."""
RANK = 16
UTILIZATION = 0.85
"""Share of a GPU for an engine that shares it with a sleeping trainer."""


def training_table(gpus: int = 1) -> str:
    """Return tokens per device that fit with TRL's trainer and checkpointing, for all weights and for an adapter."""
    rows = ["| model | " + " | ".join(f"{card} GB" for card in CARDS) + " |", "|---|" + "---|" * len(CARDS)]
    for name, of in QWEN.items():
        cells = []
        for card in CARDS:
            full, adapter = (tokens_that_fit(of, "trl", int(card * 1e9), checkpointing=True, gpus=gpus, lora_rank=rank) for rank in (None, RANK))
            cells.append(f"{_thousands(full)} / {_thousands(adapter)}")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def sampling_table() -> str:
    """Return the tokens that the cache of one engine holds beside a sleeping trainer."""
    rows = ["| model | bytes per token | " + " | ".join(f"{card} GB" for card in CARDS) + " |", "|---|---|" + "---|" * len(CARDS)]
    for name, of in QWEN.items():
        held = [sampling_memory(of, int(card * 1e9), UTILIZATION).tokens for card in CARDS]
        rows.append(f"| {name} | {of.cache_bytes():,} | " + " | ".join(map(_thousands, held)) + " |")
    return "\n".join(rows)


MACHINES = (2, 4, 8)
CACHE = 100_000
"""Tokens that an engine's cache must hold: fifty sequences of 2,000."""
ROW = 8_192
"""Tokens that a worker must hold at once, so that a trace of this length can be trained."""
OWN = 0.9
"""Share of a GPU for an engine that has it to itself."""


def machine_table(card: int = 80) -> str:
    """Return, for machines with several GPUs of `card` GB, settings that use all of them, and what fits with these."""
    head = "| model | GPUs | sampler | tokens in the cache of an engine | trainer | tokens on a GPU at once | main memory, GB |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for name, of in QWEN.items():
        for gpus in MACHINES:
            engine, held = _sampler(of, card, gpus)
            trainer, tokens = _trainer(of, card, gpus)
            # The first worker gathers the weights in float32.
            memory = f"{4 * of.parameters / 1e9:.0f}" if tokens else "—"
            rows.append(f"| {name} | {gpus} | {engine} | {_thousands(held)} | {trainer} | {_thousands(tokens)} | {memory} |")
    return "\n".join(rows)


def _sampler(of: Shape, card: int, gpus: int) -> tuple[str, int]:
    """Engines on as few GPUs each as hold the model and its cache, and the tokens in the cache of one."""
    for size in (1, 2, 4, 8):
        held = sampling_memory(of, int(card * 1e9), OWN, gpus=size).tokens
        if size <= gpus and (of.num_attention_heads or 1) % size == 0 and held >= CACHE:
            engine = f'engine={{"tensor_parallel_size": {size}}}, ' if size > 1 else ""
            return f"`VLLM({engine}resources=Resources(copies={gpus // size}))`", held
    return "—", 0


def _trainer(of: Shape, card: int, gpus: int) -> tuple[str, int]:
    """All weights where they fit, else an adapter, and the tokens that a GPU holds at once."""
    for rank, lora in ((None, ""), (RANK, f', lora={{"r": {RANK}}}')):
        tokens = tokens_that_fit(of, "trl", int(card * 1e9), checkpointing=True, gpus=gpus, lora_rank=rank)
        if tokens >= ROW:
            part = "" if tokens >= GPU_TOKENS else f", tokens_per_device={tokens // 1000 * 1000}"
            return f"`SFT(gpus={gpus}{lora}{part})`", tokens
    return "—", 0


def _thousands(tokens: int) -> str:
    """Round down to two digits; a dash below a thousand, where no trace of use fits."""
    if tokens < 1000:
        return "—"
    step = 10 ** (len(str(tokens)) - 2)
    return f"{tokens // step * step:,}"


CHECKED = ((256, 1024, 4, 4, 2, 4096, 300), (256, 640, 6, 8, 4, 1024, 400), (384, 1536, 3, 6, 6, 2048, 300))
"""Shapes of small models (hidden, inner, layers, heads, key heads, vocabulary) and the length of a row in tokens. Rows are long enough for the CPU to
use the same kind of attention as a GPU."""
FEW = 256
"""Vocabulary for TRL's trainer: its head computes in tiles, on a CPU with many more copies of each than on a GPU."""
ROWS = 4
WAYS: tuple[tuple[Engine, bool], ...] = (("small", False), ("trl", False), ("trl", True))
"""Engines, with and without checkpointing."""


def check(ways: Sequence[tuple[Engine, bool]] = WAYS, checked: Sequence[tuple[int, ...]] = CHECKED) -> Iterator[tuple[str, int, int]]:
    """Train small random models for two steps and yield, for each, what it is, and the peak of the model and of torch's own accounting, in bytes."""
    for *numbers, vocabulary, length in checked:
        for engine, again in ways:
            words = vocabulary if engine == "small" else FEW
            with tempfile.TemporaryDirectory() as place:
                folder = random_model(Path(place) / "model", shape(*numbers, vocabulary=words, tied=True))
                precision, train = _training(engine, folder, length, again)
                of = read_shape(folder)
                # transformers reads the weights in threads of its own, whose memory the profiler of this thread does not see.
                measured = peak(train) + 4 * of.parameters
                expected = training_memory(of, engine, ROWS * length, checkpointing=again, precision=precision).peak
                if engine == "trl" and not again:
                    # Without flash attention every layer keeps the mask of rows laid end to end, in bfloat16.
                    expected += 2 * of.layers * (ROWS * length) ** 2
            way = f"{engine}{', checkpointing' if again else ''}, {precision}"
            yield f"{way}: {', '.join(map(str, numbers))}, {words:,} words; {ROWS} rows of {length}", expected, measured


def _training(engine: Engine, folder: Path, length: int, checkpointing: bool) -> tuple[Precision, Callable[[], object]]:
    """What a training computes in, and a function that trains for two steps in the thread that calls it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    # Every token but the first has a loss.
    rows = [{"input_ids": [5 + (row + place) % 200 for place in range(length)], "labels": [-100] + [7] * (length - 1)} for row in range(2 * ROWS)]
    if engine == "trl":
        return "bfloat16", lambda: _stock(folder, tokenizer, rows, checkpointing)

    import torch

    from selfimprove.checkpoints.precision import computing_type
    from selfimprove.training.small.sft import fit_small

    arguments = {"max_steps": 2, "per_device_train_batch_size": ROWS, "learning_rate": 1e-4, "max_length": 4096}
    half: Precision = "bfloat16" if computing_type() is torch.bfloat16 else "float32"
    return half, lambda: fit_small(str(folder), tokenizer, rows, arguments, None, 7, lambda *step: True)


def _stock(folder: Path, tokenizer: Any, rows: list[dict[str, list[int]]], checkpointing: bool) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    with tempfile.TemporaryDirectory() as scratch:
        settings = SFTConfig(
            output_dir=scratch,
            use_cpu=True,
            bf16=True,
            gradient_checkpointing=checkpointing,
            optim="adamw_torch_fused",
            per_device_train_batch_size=ROWS,
            num_train_epochs=1,
            max_length=None,
            padding_free=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        SFTTrainer(model=model, args=settings, train_dataset=Dataset.from_list(rows), processing_class=tokenizer).train()


def peak(work: Callable[[], object]) -> int:
    """Return the most bytes that torch held on the CPU at once during the work, of those that it allocated meanwhile in this thread."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    with tempfile.TemporaryDirectory() as place:
        profiler.export_chrome_trace(f"{place}/trace.json")
        events = json.loads(Path(place, "trace.json").read_text())["traceEvents"]
    held = most = 0
    for event in sorted((event for event in events if event.get("name") == "[memory]"), key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        most = max(most, held)
    return most


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="compare with what torch allocates for small shapes")
    parser.add_argument("--gpus", type=int, default=8, help="devices of the second table")
    parser.add_argument("--card", type=int, default=80, metavar="GB", help="size of the GPUs in the table of machines")
    chosen = parser.parse_args(arguments)
    if chosen.check:
        print("| training | predicted, MB | measured, MB | predicted ÷ measured |\n|---|---|---|---|")
        for name, expected, measured in check():
            print(f"| {name} | {expected / 1e6:.0f} | {measured / 1e6:.0f} | {expected / measured:.2f} |", flush=True)
        return
    print("Tokens per device, all weights / LoRA, one GPU:\n\n" + training_table())
    print(f"\nTokens per device, all weights / LoRA, {chosen.gpus} GPUs with FSDP2:\n\n" + training_table(chosen.gpus))
    print(f"\nMachines with GPUs of {chosen.card} GB:\n\n" + machine_table(chosen.card))
    print(f"\nTokens in the cache of an engine with {UTILIZATION:g} of the memory:\n\n" + sampling_table())


if __name__ == "__main__":
    main()
