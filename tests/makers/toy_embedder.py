"""A toy embedder that reads the first number of a question and records the size of every call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy

from selfimprove.difficulty.embedder import Embedder
from selfimprove.records import Checkpoint, Message


@dataclass(frozen=True)
class ToyEmbedder(Embedder):
    """Features of a question: its first number modulo 20 and modulo 7, and its length."""

    calls: ClassVar[list[int]] = []

    def open(self) -> ToyEmbedder:  # type: ignore[override]
        return self

    def embed(self, checkpoint: Checkpoint, prompts: Sequence[tuple[str, tuple[Message, ...]]]) -> Iterator[list[tuple[str, object]]]:
        self.calls.append(len(prompts))
        for name, messages in prompts:
            question = messages[-1]["content"]
            number = int(re.findall(r"\d+", question)[0])
            yield [(name, numpy.array([number % 20, number % 7, len(question)], numpy.float32))]

    def close(self) -> None: ...
