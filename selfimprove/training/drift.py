"""Measures drift: how a text reads to a checkpoint, and how far its predictions there are from the base model's.

Of many measures of a fine-tuned model, KL(base || model) predicted best how much it had forgotten (Shenfeld et al. 2025, arXiv 2509.04259).
They took it on prompts of the new task; here it is taken on any text.

Imports torch: to be imported where a worker computes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from selfimprove.checkpoints.precision import computing_type
from selfimprove.records import Checkpoint, Drift
from selfimprove.training.malloc import return_freed_memory

WINDOW = 1024
"""Most tokens that a model reads at once. The text is cut into windows of this length, and each is read without what came before."""
MOST_LOGITS = 1 << 24
"""Most logits of one model that are held at once, in float32 64 MiB: a chunk has fewer tokens if the vocabulary is larger."""


class Unmeasured(Exception):
    """The drift of these models cannot be measured; the message says why."""


def measure(base: Checkpoint, candidate: Checkpoint, text: str, text_hash: str, chunk: int | None = None) -> Iterator[int | Drift | str]:
    """Negative log-likelihood of the text and KL(base || candidate), both as means over its tokens, in nats.

    Yields the number of tokens of each chunk that was read, and at the end the result, or why there is none. Both models read the text in the same
    chunks, so that the logits of one chunk are all that is held of them. Nothing stays in memory afterwards.

    Args:
        base: The model that the KL divergence is taken from.
        candidate: The model that is measured, with the same tokenizer.
        text: The text to read.
        text_hash: Names the text in the result.
        chunk: Tokens of a chunk; None for as many as `MOST_LOGITS` allows. The result does not depend on it.
    """
    # A new thread starts with OpenMP's default, which Ray sets to the cores that the actor reserves.
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        yield from _measure(base, candidate, text, text_hash, chunk)
    except torch.OutOfMemoryError as error:
        yield f"not enough memory: {_first_line(error)}"
    except (Unmeasured, OSError, ValueError, KeyError, ImportError) as error:
        yield _first_line(error)
    finally:
        return_freed_memory()


def _measure(base: Checkpoint, candidate: Checkpoint, text: str, text_hash: str, chunk: int | None) -> Iterator[int | Drift]:
    windows = windows_of(Path(base.path), text)
    # The base model compared with itself is 0 without a second pass.
    models = [_load(Path(one.path)) for one in ([base] if candidate.weights_hash == base.weights_hash else [base, candidate])]
    tokens, likelihood, divergence = 0, 0.0, 0.0
    for ids in windows:
        begin = 1
        for logits in zip(*(_logits(model, ids, chunk) for model in models), strict=True):
            targets = ids[begin : begin + len(logits[0])]
            begin += len(logits[0])
            with torch.inference_mode():
                # The last token of a window predicts nothing.
                read = [torch.log_softmax(one[: len(targets)].float(), dim=-1) for one in logits]
                likelihood += float(read[-1].gather(1, torch.tensor(targets, dtype=torch.long, device=read[-1].device)[:, None]).double().sum())
                divergence += _kl(*read) if len(read) > 1 else 0.0
            tokens += len(targets)
            yield len(targets)
    if not (math.isfinite(likelihood) and math.isfinite(divergence)):
        raise Unmeasured("its predictions are not probabilities: the training diverged")
    # Rounding can make a sum of next to nothing negative.
    yield Drift(tokens, -likelihood / tokens, max(0.0, divergence / tokens), text_hash)


def windows_of(model: Path, text: str) -> list[list[int]]:
    """The text as tokens of this model, in windows of at least two; each begins with the token that the tokenizer begins a text with, if any."""
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    first = [tokenizer.bos_token_id] if tokenizer.bos_token_id in tokenizer("")["input_ids"] else []
    config = AutoConfig.from_pretrained(model, local_files_only=True).get_text_config()
    size = min(WINDOW, getattr(config, "max_position_embeddings", None) or WINDOW) - len(first)
    windows = [first + ids[begin : begin + size] for begin in range(0, len(ids), size)]
    if found := [window for window in windows if len(window) > 1]:
        return found
    raise Unmeasured("the text has fewer than two tokens")


def _load(model: Path) -> Any:
    """The model on the GPU, or in main memory, where also goes what of it does not fit on the GPU."""
    place = {"device_map": "auto"} if torch.cuda.is_available() else {}
    return AutoModelForCausalLM.from_pretrained(model, dtype=computing_type(), local_files_only=True, **place).eval()


@torch.inference_mode()
def _logits(model: Any, ids: Sequence[int], chunk: int | None) -> Iterator[Any]:
    """The logits after each token, chunk after chunk, `(tokens, vocabulary)`; the keys and values of earlier chunks are kept.

    A model that keeps none, such as Mamba, reads the whole window at once.
    """
    size = chunk or max(1, MOST_LOGITS // model.config.get_text_config().vocab_size)
    # Weights that did not fit on the GPU have no device until they are used.
    device = model.device if model.device.type != "meta" else "cpu"
    cache = None
    for begin in range(0, len(ids), size):
        own: dict[str, Any] = {"past_key_values": cache} if cache is not None else {}
        read = model(input_ids=torch.tensor([ids[begin : begin + size]], device=device), use_cache=True, **own)
        if (cache := getattr(read, "past_key_values", None)) is None:
            yield model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits[0]
            return
        yield read.logits[0]


def _kl(expected: Any, predicted: Any) -> float:
    """KL(expected || predicted), summed over the tokens, given log-probabilities of the same shape."""
    if expected.shape != predicted.shape:
        raise Unmeasured(f"the vocabularies differ: {expected.shape[1]} and {predicted.shape[1]} tokens")
    chances = expected.exp()
    parts = chances * (expected - predicted.to(expected.device))
    # What the base model excludes (a logit of -inf) adds nothing.
    return float(parts.masked_fill_(chances == 0, 0.0).sum(-1).double().sum())


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
