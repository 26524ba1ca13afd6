"""Embeds questions: the pooled last hidden states of a checkpoint, computed on a worker."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Resources, WorkerPart
from selfimprove.records import Checkpoint, Message
from selfimprove.records.numbers import PositiveInt

Features = Any
"""A float32 vector of twice the hidden size plus one: mean of the prompt's last hidden states, that of the last token, and number of tokens."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Embedder(WorkerPart):
    """Reads prompts with transformers and generates nothing.

    Two poolings of the last layer's hidden states are kept. The state of the last token predicts the answer and is the only one that has seen the
    whole question. The mean holds the words of the question and varies less between questions of one kind.
    """

    batch_tokens: PositiveInt = 4096
    """Maximum number of tokens in a batch, padding included, the shared beginning of all prompts not. A longer prompt is a batch of its own."""
    resources: Resources = Resources(cpus=0)
    """No CPU is reserved: the embedder works while sampler and trainer rest."""

    def open(self) -> OpenEmbedder:
        """Load torch and transformers, which takes some seconds."""
        return OpenEmbedder(self.batch_tokens)


class OpenEmbedder:
    """An embedder in its process. No model stays in memory between two calls."""

    def __init__(self, batch_tokens: int) -> None:
        """Import torch and transformers."""
        import torch  # noqa: F401
        import transformers  # noqa: F401

        self._batch_tokens = batch_tokens

    def embed(self, checkpoint: Checkpoint, prompts: Sequence[tuple[str, tuple[Message, ...]]]) -> Iterator[list[tuple[str, Features]]]:
        """The features of each prompt with the name given for it, in batches of similar length, shortest first."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from selfimprove.checkpoints.precision import computing_type
        from selfimprove.training.malloc import return_freed_memory
        from selfimprove.training.rows import tokenize_prompt

        # A new thread starts with OpenMP's default, which Ray sets to the cores that the actor reserves.
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        tokenizer = AutoTokenizer.from_pretrained(Path(checkpoint.path), local_files_only=True)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        whole = AutoModelForCausalLM.from_pretrained(Path(checkpoint.path), dtype=computing_type(), local_files_only=True)
        model = whole.base_model.to(device).eval()
        read = [(name, tokenize_prompt(tokenizer, messages)) for name, messages in prompts]
        beginning = Beginning(model, shared([ids for _, ids in read]), device)
        own = [(name, ids[beginning.length :]) for name, ids in read]
        try:
            for batch in self._batches(sorted(own, key=lambda one: len(one[1]))):
                yield list(zip((name for name, _ in batch), beginning.features([ids for _, ids in batch]), strict=True))
        finally:
            # Whoever uses the GPU next finds it empty.
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
    """The beginning that all prompts share, such as a system prompt. It leaves at least one token of each prompt."""
    columns = zip(*(ids[:-1] for ids in prompts), strict=False)
    return [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]


class Beginning:
    """The shared beginning of all prompts, read once by a model without its head."""

    def __init__(self, model: Any, ids: Sequence[int], device: str) -> None:
        """Read the tokens; there may be none."""
        import torch

        self.length, self._model, self._device = len(ids), model, device
        self._cache, self._sum = None, torch.zeros(1)
        if ids:
            with torch.inference_mode():
                read = model(input_ids=torch.tensor([ids], device=device), use_cache=True)
            self._cache, self._sum = read.past_key_values, read.last_hidden_state.float().sum(1).cpu()

    def features(self, prompts: Sequence[Sequence[int]]) -> Any:
        """The features of prompts, one row each, given their tokens after the beginning."""
        import torch

        lengths = torch.tensor([len(ids) for ids in prompts])
        # Padding follows the prompts, where causal attention never looks.
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
