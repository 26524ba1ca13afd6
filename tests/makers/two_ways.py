"""A toy sampler whose right and wrong traces can be joined: it adds in either order, and looks back in evaluations."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from toy import SIGNS, ToySampler

from selfimprove.records import Checkpoint, Request, Trace


@dataclass(frozen=True)
class TwoWays(ToySampler):
    """Adds in one of two orders and errs by one; in evaluations two of three traces look back, rightly or not. One token per character."""

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        chance = random.Random(request.seed)
        left, right = map(int, re.findall(r"\d+", request.messages[-1]["content"]))
        answer = left + right if chance.random() < self._skill(checkpoint, request) else left + right + 1
        first, second = chance.sample((left, right), 2)
        thoughts = f"I add {first} and {second}.\n{first} + {second} = {answer}."
        kind = chance.choice(("revised", "confirmed", "neither")) if "exam" in request.id else "neither"
        if kind == "revised":
            thoughts, answer = f"{thoughts}\nWait, that is not right.\nIt is one less.", answer - 1
        elif kind == "confirmed":
            thoughts += "\nWait, is that right?\nThat checks out."
        text = f"<think>\n{thoughts}\n</think>\n{answer}"
        prompt, ids = self._tokens(checkpoint, request, text)
        return Trace(request.id, request.problem_id, checkpoint.id, prompt, ids, text, (), "stop", request.temperature, request.seed)

    def _tokens(self, checkpoint: Checkpoint, request: Request, text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (1, 2, 3), tuple(map(SIGNS.index, text))


class TwoWaysOfTokens(TwoWays):
    """The same with the tokens of the checkpoint's own tokenizer; right half of the time, whatever the weights."""

    def _skill(self, checkpoint: Checkpoint, request: Request) -> float:
        return 0.5

    def _tokens(self, checkpoint: Checkpoint, request: Request, text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(checkpoint.path)
        prompt = tokenizer.apply_chat_template(list(request.messages), add_generation_prompt=True, return_dict=False)
        return tuple(prompt), tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
