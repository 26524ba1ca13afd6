"""Which training fits on which GPU, by the memory model; `--check` compares the model with what torch allocates here for small shapes.

`python -m benchmarks.memory` prints the table of docs/how-to/one_gpu.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.memory import Engine, Precision, sampling_memory, tokens_that_fit, training_memory
from selfimprove.checkpoints.shape import Shape, read_shape

CARDS = (24, 48, 80, 141)
"""Sizes of GPUs in GB, as they are sold."""
RANK = 16
UTILIZATION = 0.85
"""Share of a GPU for an engine that shares it with a sleeping trainer."""


def qwen(hidden: int, inner: int, layers: int, heads: int, key_heads: int, tied: bool = False, head: int = 128) -> Shape:
    return Shape(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        head_dim=head,
        vocab_size=151_936,
        tie_word_embeddings=tied,
    )


MODELS = {
    "0.5B": qwen(896, 4864, 24, 14, 2, tied=True, head=64),
    "1.5B": qwen(1536, 8960, 28, 12, 2, tied=True),
    "3B": qwen(2048, 11008, 36, 16, 2, tied=True),
    "7B": qwen(3584, 18944, 28, 28, 4),
    "14B": qwen(5120, 13824, 48, 40, 8),
    "32B": qwen(5120, 27648, 64, 40, 8),
    "72B": qwen(8192, 29568, 80, 64, 8),
}
"""The shapes of Qwen2.5."""


def training_table(gpus: int = 1) -> str:
    """Return tokens per device that fit with TRL's trainer and checkpointing, for all weights and for an adapter."""
    rows = ["| model | " + " | ".join(f"{card} GB" for card in CARDS) + " |", "|---|" + "---|" * len(CARDS)]
    for name, shape in MODELS.items():
        cells = []
        for card in CARDS:
            full, adapter = (tokens_that_fit(shape, "trl", int(card * 1e9), checkpointing=True, gpus=gpus, lora_rank=rank) for rank in (None, RANK))
            cells.append(f"{_thousands(full)} / {_thousands(adapter)}")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def sampling_table() -> str:
    """Return the tokens that the cache of one engine holds beside a sleeping trainer."""
    rows = ["| model | bytes per token | " + " | ".join(f"{card} GB" for card in CARDS) + " |", "|---|---|" + "---|" * len(CARDS)]
    for name, shape in MODELS.items():
        held = [sampling_memory(shape, int(card * 1e9), UTILIZATION).tokens for card in CARDS]
        rows.append(f"| {name} | {shape.cache_bytes():,} | " + " | ".join(map(_thousands, held)) + " |")
    return "\n".join(rows)


def _thousands(tokens: int) -> str:
    """Round down to two digits; a dash below a thousand, where no trace of use fits."""
    if tokens < 1000:
        return "—"
    step = 10 ** (len(str(tokens)) - 2)
    return f"{tokens // step * step:,}"


CHECKED = ((256, 1024, 4, 4, 2, 4096, 300), (256, 640, 6, 8, 4, 1024, 400), (384, 1536, 3, 6, 6, 2048, 300))
"""Small shapes: hidden, inner, layers, heads, key heads, vocabulary; and the tokens of a row. Longer than those rows for which attention on a CPU takes
another path than on a GPU."""
ROWS = 4


def check(ways: Sequence[tuple[Engine, bool]] = (("small", False), ("trl", False), ("trl", True))) -> Iterator[tuple[str, int, int]]:
    """Train small random models for two steps and yield, for each, what it is, and the peak of the model and of torch's own accounting, in bytes."""
    for *numbers, length in CHECKED:
        with tempfile.TemporaryDirectory() as place:
            folder = random_model(Path(place) / "model", *numbers)
            for engine, checkpointing in ways:
                precision, steps = _training(engine, folder, length, checkpointing)
                measured = peak(steps)
                expected = training_memory(read_shape(folder), engine, ROWS * length, checkpointing=checkpointing, precision=precision).peak
                yield (
                    f"{engine}{', checkpointing' if checkpointing else ''}, {precision}, shape {tuple(numbers)}, {ROWS} × {length}",
                    expected,
                    measured,
                )


def random_model(folder: Path, hidden: int, inner: int, layers: int, heads: int, key_heads: int, vocabulary: int) -> Path:
    """Write a Llama of this shape with random weights and the embedded model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from selfimprove.checkpoints.base_models import EMBEDDED_MODEL, resolve_model

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve_model(EMBEDDED_MODEL)).save_pretrained(folder)
    return folder


def _training(engine: Engine, folder: Path, length: int, checkpointing: bool) -> tuple[Precision, Callable[[], object]]:
    """What a training computes in, and a function that trains for two steps in the thread that calls it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    # Every token but the first has a loss.
    rows = [{"input_ids": [5 + (row + place) % 900 for place in range(length)], "labels": [-100] + [7] * (length - 1)} for row in range(2 * ROWS)]
    if engine == "trl":
        return "bfloat16", lambda: _stock(folder, tokenizer, rows, checkpointing)

    import torch

    from selfimprove.records import Checkpoint
    from selfimprove.training.lean_loop import computing_type
    from selfimprove.training.sft import SFT
    from selfimprove.training.world import World

    opened = SFT(epochs=1, batch_size=ROWS, max_length=4096).open()
    start = Checkpoint("base", str(folder), None, 0, "", "")
    half: Precision = "bfloat16" if computing_type() is torch.bfloat16 else "float32"
    return half, lambda: opened._fit(start, tokenizer, rows, 7, lambda *step: True, World())


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
    chosen = parser.parse_args(arguments)
    if chosen.check:
        print("| training | predicted, MB | measured, MB | predicted ÷ measured |\n|---|---|---|---|")
        for name, expected, measured in check():
            print(f"| {name} | {expected / 1e6:.0f} | {measured / 1e6:.0f} | {expected / measured:.2f} |", flush=True)
        return
    print("Tokens per device, all weights / LoRA, one GPU:\n\n" + training_table())
    print(f"\nTokens per device, all weights / LoRA, {chosen.gpus} GPUs with FSDP2:\n\n" + training_table(chosen.gpus))
    print(f"\nTokens in the cache of an engine with {UTILIZATION:g} of the memory:\n\n" + sampling_table())


if __name__ == "__main__":
    main()
