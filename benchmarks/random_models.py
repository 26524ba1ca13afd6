"""Models with random weights, made here in seconds: for speed and memory, which depend on the shape alone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.shape import Shape
from selfimprove.records import AcceptedTrace


def shape(hidden: int, inner: int, layers: int, heads: int, key_heads: int, vocabulary: int = 151_936, tied: bool = False, head: int = 0) -> Shape:
    return Shape(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        head_dim=head or hidden // heads,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
    )


QWEN = {
    "0.5B": shape(896, 4864, 24, 14, 2, tied=True),
    "1.5B": shape(1536, 8960, 28, 12, 2, tied=True),
    "3B": shape(2048, 11008, 36, 16, 2, tied=True),
    "7B": shape(3584, 18944, 28, 28, 4),
    "14B": shape(5120, 13824, 48, 40, 8),
    "32B": shape(5120, 27648, 64, 40, 8),
    "72B": shape(8192, 29568, 80, 64, 8),
}
"""The shapes of Qwen2.5."""
SMALL = shape(576, 1536, 30, 9, 3, vocabulary=49_152, tied=True)
"""The shape of SmolLM2-135M."""


def random_model(folder: Path, of: Shape, device: str = "cpu") -> Path:
    """Write a Llama of this shape with random bfloat16 weights and the embedded model's tokenizer, unless it is there already."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from selfimprove.checkpoints.base_models import EMBEDDED_MODEL, resolve_model

    if (folder / "complete").exists():
        return folder
    tokenizer = AutoTokenizer.from_pretrained(resolve_model(EMBEDDED_MODEL))
    config = LlamaConfig(
        **of.model_dump(exclude_none=True),
        max_position_embeddings=32_768,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    with torch.device(device):
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors") if (folder / "model.safetensors").exists() else {}
    if weights and of.tie_word_embeddings:
        # As in every checkpoint of a run: an engine that reloads weights in place needs the head.
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    tokenizer.save_pretrained(folder)
    (folder / "complete").touch()
    return folder


def random_rows(tokenizer: Any, count: int, length: int) -> list[AcceptedTrace]:
    """Return rows of random words, of three tenths of `length` tokens up to `length`."""
    chance, rows = random.Random(0), []
    words = [word for word in sorted(tokenizer.get_vocab()) if word.isascii() and word.isalpha()][:5000]

    def text(tokens: int) -> str:
        ids = tokenizer(" ".join(chance.choice(words) for _ in range(tokens)), add_special_tokens=False)["input_ids"]
        return str(tokenizer.decode(ids[:tokens]))

    for number in range(count):
        messages = ({"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": text(12)})
        # Decoded and encoded again, a text may gain some tokens; the chat template takes others.
        thinking = text(int(0.9 * length * chance.uniform(0.3, 1.0)) - 50)
        rows.append(AcceptedTrace(f"t{number}", f"p{number}", messages, f"<think>\n{thinking}\n</think>\n5", "sampled", 1))
    return rows
