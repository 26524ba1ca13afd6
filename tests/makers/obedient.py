"""A toy model whose thinking has a length: it is right if it thinks long enough for the problem, and it obeys budgets."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from toy import accept_champion

from selfimprove.protocols import Sampler
from selfimprove.records import Checkpoint, Request, Trace

OWN = 9
"""Letters of thinking without a budget at temperature 0; at other temperatures, 1 to twice as many."""


@cache
def letters() -> Tokenizer:
    """A tokenizer with one token per letter."""
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({sign: number for number, sign in enumerate(signs)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def needed(number: int) -> int:
    """Letters of thinking that the sum with this number needs."""
    return 1 + number % 20


@dataclass(frozen=True)
class ObedientSampler(Sampler):
    """Records the request ids of every call; raises KeyboardInterrupt once it has written `patience` traces."""

    calls: ClassVar[list[list[str]]] = []
    patience: ClassVar[list[int]] = []

    def open(self) -> ObedientSampler:
        return self

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        self.calls.append([request.id for request in requests])
        for request in requests:
            if self.patience:
                self.patience[0] -= 1
                if not self.patience[0]:
                    raise KeyboardInterrupt
            yield [_trace(checkpoint, request)]

    def rest(self, same_weights: bool = False) -> None: ...

    def close(self) -> None: ...


def _trace(checkpoint: Checkpoint, request: Request) -> Trace:
    left, right = map(int, re.findall(r"\d+", request.messages[-1]["content"]))
    thinking = "." * (random.Random(request.seed).randint(1, 2 * OWN) if request.temperature else OWN)
    if request.budget:
        thinking = (thinking + "Wait." * request.budget.extensions)[: request.budget.max_tokens]
    text = f"<think>{thinking}</think>{left + right if len(thinking) >= needed(left) else -1}"
    text, finish = text[: request.max_tokens], "stop" if len(text) <= request.max_tokens else "length"
    ids = tuple(letters().encode(text).ids)
    return Trace(request.id, request.problem_id, checkpoint.id, (1, 2), ids, text, (), finish, request.temperature, request.seed)


def give_letters(model: Path) -> None:
    """Save that tokenizer into the folder of a toy model, which may be the champion of a run."""
    letters().save(str(model / "tokenizer.json"))
    if model.name == "champion":
        accept_champion(model.parent)
