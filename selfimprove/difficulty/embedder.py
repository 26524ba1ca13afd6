"""What a checkpoint makes of a question before it answers: its last hidden states, pooled, on a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.records import Checkpoint, Message
from selfimprove.resources import Resources

Features = Any
"""A float32 vector: mean of the prompt's last hidden states, the last token's, and the number of tokens; twice the hidden size and one long."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Embedder:
    """Reads prompts with transformers, without a word of answer.

    Of the hidden states behind the last layer two poolings are kept. The last token's is the one from which the answer is written, and the only
    one that has seen the whole question; the mean holds the question's words, and varies less from question to question of one kind.
    """

    batch_tokens: PositiveInt = 4096
    """The most tokens of one batch, padding included; a longer prompt is a batch by itself."""
    resources: Resources = Resources(cpus=0, gpus=0)
    """It reads while sampler and trainer rest. On GPUs, give it what these two leave: they split one between them unless told otherwise."""

    def open(self) -> OpenEmbedder:
        """Load torch and transformers."""
        return OpenEmbedder(self.batch_tokens)


class OpenEmbedder:
    """An embedder in its process; between two calls no model is in memory."""

    def __init__(self, batch_tokens: int) -> None:
        """Import what reading needs: some seconds."""
        import torch
        import transformers  # noqa: F401

        # A new thread takes OpenMP's default, which Ray sets to what the actor reserves.
        self._threads = torch.get_num_threads() if torch.cuda.is_available() else len(os.sched_getaffinity(0))
        self._batch_tokens = batch_tokens

    def embed(self, checkpoint: Checkpoint, prompts: Sequence[tuple[str, tuple[Message, ...]]]) -> Iterator[list[tuple[str, Features]]]:
        """The features of each prompt, by the name that comes with it, in batches of like length, shortest first."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from selfimprove.training.lean_loop import computing_type
        from selfimprove.training.memory import return_freed_memory
        from selfimprove.training.rows import tokenize_prompt

        torch.set_num_threads(self._threads)
        tokenizer = AutoTokenizer.from_pretrained(Path(checkpoint.path), local_files_only=True)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        whole = AutoModelForCausalLM.from_pretrained(Path(checkpoint.path), dtype=computing_type(), local_files_only=True)
        model = whole.base_model.to(device).eval()
        read = [(name, tokenize_prompt(tokenizer, messages)) for name, messages in prompts]
        for batch in self._batches(sorted(read, key=lambda one: len(one[1]))):
            with torch.inference_mode():
                features = pooled(model, [ids for _, ids in batch], device)
            yield [(name, one) for (name, _), one in zip(batch, features, strict=True)]
        del whole, model
        return_freed_memory()

    def close(self) -> None:
        """Nothing stays open between two calls."""

    def _batches(self, read: Sequence[tuple[str, list[int]]]) -> Iterator[list[tuple[str, list[int]]]]:
        batch: list[tuple[str, list[int]]] = []
        for one in read:
            if batch and (len(batch) + 1) * len(one[1]) > self._batch_tokens:
                yield batch
                batch = []
            batch.append(one)
        if batch:
            yield batch


def pooled(model: Any, prompts: Sequence[Sequence[int]], device: str) -> Any:
    """The features of some prompts of token ids, one row each; `model` is without its head."""
    import torch

    lengths = torch.tensor([len(ids) for ids in prompts])
    # Padding stands behind the prompts, where no token of theirs looks.
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in prompts], batch_first=True)
    mask = torch.arange(padded.shape[1]) < lengths[:, None]
    states = model(input_ids=padded.to(device), attention_mask=mask.long().to(device), use_cache=False).last_hidden_state.float().cpu()
    mean = (states * mask[..., None]).sum(1) / lengths[:, None]
    last = states[torch.arange(len(prompts)), lengths - 1]
    return torch.cat([mean, last, lengths[:, None].float()], dim=1).numpy()
