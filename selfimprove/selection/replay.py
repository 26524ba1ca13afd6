"""Which accepted traces form one training run: those of this generation or all so far, without repeats and with limits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.protocols import ProblemSource
from selfimprove.records import AcceptedTrace
from selfimprove.records.numbers import Float, PositiveFloat, PositiveInt
from selfimprove.seeds import derive_seed

GENERAL = "general"
"""Origin of rows of instruction data."""


@dataclass(frozen=True, config={"extra": "forbid", "arbitrary_types_allowed": True})
class Replay:
    """Trains on accepted traces of this and earlier generations. Limits prefer newer traces; the choice within a generation is random and seeded."""

    earlier: bool = True
    """Whether to train on the accepted traces of all generations so far (as AdaSTaR does) or only on the newest (STaR, ReST-EM)."""
    per_problem: PositiveInt | None = None
    """Maximum number of rows of one problem, so that easy problems do not crowd out the others; None: no limit."""
    limit: PositiveInt | None = None
    """Maximum number of these rows in all; None: no limit."""
    general: ProblemSource | None = None
    """Instruction data that every training mixes in, so that the model forgets less: `Jsonl("instructions.jsonl")` with questions and answers, or
    with chats (`question="messages", answer="messages"`). Its rows show the bare question and teach the answer. None: none."""
    general_share: Annotated[Float, Field(gt=0, lt=1)] = 0.05
    """Share of `general` among the rows trained on. They come on top of the others, as a new draw in each generation."""
    general_weight: PositiveFloat = 1.0
    """Factor on the loss of each token of a general row; 1: as much as any other token that is trained on."""

    def rows(self, accepted: Sequence[Sequence[AcceptedTrace]], seed: int) -> list[AcceptedTrace]:
        """Rows for one training run. No completion of a problem appears twice."""
        kept: list[AcceptedTrace] = []
        seen: set[tuple[str, str]] = set()
        of_problem: Counter[str] = Counter()
        for generation in reversed(accepted if self.earlier else accepted[-1:]):
            shuffled = sorted(generation, key=lambda row: row.trace_id)
            random.Random(derive_seed(seed, "replay")).shuffle(shuffled)
            for row in shuffled:
                repeated = (row.problem_id, row.completion) in seen
                capped = self.per_problem is not None and of_problem[row.problem_id] >= self.per_problem
                if not repeated and not capped:
                    kept.append(row)
                    seen.add((row.problem_id, row.completion))
                    of_problem[row.problem_id] += 1
        return kept[: self.limit]

    def general_rows(self, others: int) -> int:
        """How many rows of `general` make up their share beside so many others."""
        return round(others * self.general_share / (1 - self.general_share))
