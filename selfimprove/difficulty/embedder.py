"""What a checkpoint makes of a question before it answers: its last hidden states, pooled, on a worker."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.protocols import Resources, WorkerPart
from selfimprove.records import Checkpoint, Message

Features = Any
"""A float32 vector: mean of the prompt's last hidden states, the last token's, and the number of tokens; twice the hidden size and one long."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Embedder(WorkerPart):
    """Reads prompts with transformers, without a word of answer.

    Of the hidden states behind the last layer two poolings are kept. The last token's is the one from which the answer is written, and the only
    one that has seen the whole question; the mean holds the question's words, and varies less from question to question of one kind.
    """

    batch_tokens: PositiveInt = 4096
    """The most tokens of one batch, padding included, without what all prompts begin with; a longer prompt is a batch by itself."""
    resources: Resources = Resources(cpus=0, gpus=0)
    """It reads while sampler and trainer rest. On GPUs, give it what these two leave: they split one between them unless told otherwise."""

    def open(self) -> OpenEmbedder:
        """Load torch and transformers."""
        return OpenEmbedder(self.batch_tokens)


class OpenEmbedder:
    """An embedder in its process; between two calls no model is in memory."""

    def __init__(self, batch_tokens: int) -> None:
        """Import what reading needs: some seconds."""
        import torch  # noqa: F401
        import transformers  # noqa: F401

        self._batch_tokens = batch_tokens

    def embed(self, checkpoint: Checkpoint, prompts: Sequence[tuple[str, tuple[Message, ...]]]) -> Iterator[list[tuple[str, Features]]]:
        """The features of each prompt, by the name that comes with it, in batches of like length, shortest first."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from selfimprove.training.lean_loop import computing_type
        from selfimprove.training.malloc import return_freed_memory
        from selfimprove.training.rows import tokenize_prompt

        # A new thread takes OpenMP's default, which Ray sets to what the actor reserves.
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        tokenizer = AutoTokenizer.from_pretrained(Path(checkpoint.path), local_files_only=True)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        whole = AutoModelForCausalLM.from_pretrained(Path(checkpoint.path), dtype=computing_type(), local_files_only=True)
        model = whole.base_model.to(device).eval()
        read = [(name, tokenize_prompt(tokenizer, messages)) for name, messages in prompts]
        beginning = Beginning(model, shared([ids for _, ids in read]), device)
        own = [(name, ids[beginning.length :]) for name, ids in read]
        for batch in self._batches(sorted(own, key=lambda one: len(one[1]))):
            yield list(zip((name for name, _ in batch), beginning.features([ids for _, ids in batch]), strict=True))
        del whole, model, beginning
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


def shared(prompts: Sequence[list[int]]) -> list[int]:
    """What all prompts begin with: their system prompt, and the words that every question has; each has at least one token behind it."""
    columns = zip(*(ids[:-1] for ids in prompts), strict=False)
    return [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]


class Beginning:
    """Tokens that all prompts begin with, read once; `model` is without its head."""

    def __init__(self, model: Any, ids: Sequence[int], device: str) -> None:
        """Read them; there may be none."""
        import torch

        self.length, self._model, self._device = len(ids), model, device
        self._cache, self._sum = None, torch.zeros(1)
        if ids:
            with torch.inference_mode():
                read = model(input_ids=torch.tensor([ids], device=device), use_cache=True)
            self._cache, self._sum = read.past_key_values, read.last_hidden_state.float().sum(1).cpu()

    def features(self, prompts: Sequence[Sequence[int]]) -> Any:
        """The features of prompts, one row each, given the tokens that follow the beginning."""
        import torch

        lengths = torch.tensor([len(ids) for ids in prompts])
        # Padding stands behind the prompts, where no token of theirs looks.
        padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in prompts], batch_first=True)
        mask = torch.arange(padded.shape[1]) < lengths[:, None]
        seen = torch.cat([torch.ones(len(prompts), self.length), mask], dim=1).long()
        cache = copy.deepcopy(self._cache)
        if cache is not None:
            cache.batch_repeat_interleave(len(prompts))
        with torch.inference_mode():
            asked = {"input_ids": padded.to(self._device), "attention_mask": seen.to(self._device)}
            states = self._model(**asked, past_key_values=cache, use_cache=cache is not None).last_hidden_state.float().cpu()
            count = (self.length + lengths)[:, None].float()
            mean = (self._sum + (states * mask[..., None]).sum(1)) / count
            last = states[torch.arange(len(prompts)), lengths - 1]
            return torch.cat([mean, last, count], dim=1).numpy()
