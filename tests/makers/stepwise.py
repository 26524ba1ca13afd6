"""A toy model that thinks line by line and sometimes errs, and a toy reward model that finds the first error."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from toy import SIGNS, make_toy_model, write_tokenizer

from selfimprove.protocols import Sampler, StepScorer
from selfimprove.records import Checkpoint, Message, Request, Trace
from selfimprove.thinking.thoughts import complete

LINES = 4
"""Thoughts per trace."""
GOOD, BAD = 0.9, 0.2
"""Rewards of thoughts before the first error, and from it on."""


def make_stepwise_model(folder: Path) -> Path:
    make_toy_model(folder, 0.3)
    write_tokenizer(folder)
    return folder


@dataclass(frozen=True)
class Stepwise(Sampler):
    """Writes four lines, each wrong with probability `error`, and the answer, which one wrong line spoils. One token per character."""

    error: float = 0.3
    calls: ClassVar[list[list[Request]]] = []
    patience: ClassVar[list[int]] = []
    """If set, its one number: traces to write before KeyboardInterrupt."""

    def open(self) -> Stepwise:
        return self

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        self.calls.append(list(requests))
        if self.patience:
            self.patience[0] -= len(requests)
            if self.patience[0] <= 0:
                raise KeyboardInterrupt
        yield [self._trace(checkpoint, request) for request in requests]

    def rest(self, same_weights: bool = False) -> None: ...

    def close(self) -> None: ...

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        chance = random.Random(request.seed)
        left, right = map(int, re.findall(r"\d+", request.messages[-1]["content"]))
        before = "".join(SIGNS[token] for token in request.prefix)
        lines, spoilt = before.count(".\n"), "bad" in before
        text, finish = "" if before else "<think>\n", "stop"
        for number in range(lines, LINES):
            spoilt_now = chance.random() < self.error
            spoilt |= spoilt_now
            text += f"{'bad' if spoilt_now else 'good'} {number}{'!' * chance.randrange(3)}.\n"
            if request.stop_after_thoughts is not None and number + 1 - lines == request.stop_after_thoughts:
                finish = "thought"
                break
        else:
            text += f"</think>\n{-chance.randrange(1, 9) if spoilt else left + right}"
        # The last character stands for the end of the turn.
        ids = (*map(SIGNS.index, text), len(SIGNS) - 1)
        if len(ids) > request.max_tokens:
            ids, text, finish = ids[: request.max_tokens], text[: request.max_tokens], "length"
        opened = "<think>" in before and "</think>" not in before
        prompt = (1, *request.prefix)
        return Trace(request.id, request.problem_id, checkpoint.id, prompt, ids, text, (), finish, request.temperature, request.seed, opened=opened)


@dataclass(frozen=True)
class SeesErrors(StepScorer):
    """Gives thoughts before the first error a high reward, and the others a low one."""

    asked: ClassVar[list[int]] = []

    def open(self) -> SeesErrors:
        return self

    def score(self, asked: Sequence[tuple[tuple[Message, ...], tuple[str, ...]]]) -> list[tuple[float, ...]]:
        self.asked.append(len(asked))
        for _, thoughts in asked:
            assert len(complete("".join(thoughts))) == len(thoughts), "thoughts are complete"
        return [tuple(BAD if "bad" in "".join(thoughts[: place + 1]) else GOOD for place in range(len(thoughts))) for _, thoughts in asked]

    def close(self) -> None: ...
