"""Which accepted traces form one training run: those of this generation or all so far, without repeats and with limits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from selfimprove.records import AcceptedTrace
from selfimprove.records.numbers import PositiveInt
from selfimprove.seeds import derive_seed


@dataclass(frozen=True, config={"extra": "forbid"})
class Replay:
    """Trains on accepted traces of this and earlier generations. Limits prefer newer traces; the choice within a generation is random and seeded."""

    earlier: bool = True
    """Whether to train on the accepted traces of all generations so far (as AdaSTaR does) or only on the newest (STaR, ReST-EM)."""
    per_problem: PositiveInt | None = None
    """Maximum number of rows of one problem, so that easy problems do not crowd out the others; None: no limit."""
    limit: PositiveInt | None = None
    """Maximum number of rows in all; None: no limit."""

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
