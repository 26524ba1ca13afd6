"""A toy sampler that also writes new questions: sums, and whatever else a model may write instead."""

from __future__ import annotations

import random
from dataclasses import dataclass

from toy import ToySampler

from selfimprove.records import Checkpoint, Request, Trace

REQUEST = "Write a new question."
FORM = r"What is \d+ \+ \d+\?"


@dataclass(frozen=True)
class Proposing(ToySampler):
    """Asked for a question, it writes a new sum most of the time, and else one of `others`, the shown question or an evaluation question."""

    evaluated: tuple[str, ...] = ("What is 900 + 4?",)
    others: tuple[str, ...] = ("", "Sure! Here is one.", "<think>\nWhat could I ask?", "What is 7 + 7?<|im_end|>", "What is " + "9" * 400 + " + 1?")

    def open(self) -> Proposing:
        return self

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        if request.messages[-1]["content"] != REQUEST:
            return super()._trace(checkpoint, request)
        chance = random.Random(request.seed)
        shown = request.messages[2]["content"]
        new = f"What is {chance.randrange(100, 130)} + {chance.randrange(3)}?"
        # Some go on to answer their own question.
        written = (new, new, new, f"{new}\n<think>\n1 + 1 = 2.\n</think>\n2", shown, chance.choice(self.evaluated), chance.choice(self.others))
        text = chance.choice(written)
        return Trace(request.id, request.problem_id, checkpoint.id, (1,), tuple(range(9)), text, (), "stop", request.temperature, request.seed)
