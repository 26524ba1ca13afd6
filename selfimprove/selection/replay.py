"""Which accepted traces make up one training run: this generation's alone, or all so far, without repeats and with caps."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from pydantic import PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.records import AcceptedTrace
from selfimprove.seeds import derive_seed


@dataclass(frozen=True, config={"extra": "forbid"})
class Replay:
    """Newer traces come first where a cap chooses; within a generation the choice is random and seeded."""

    earlier: bool = True
    """Train on the accepted traces of all generations so far (AdaSTaR accumulates), or on the newest alone (STaR, ReST-EM)."""
    per_problem: PositiveInt | None = None
    """The most rows of one problem, so that easy problems do not crowd out the others; None for no cap."""
    limit: PositiveInt | None = None
    """The most rows in all; None for no cap."""

    def rows(self, accepted: Sequence[Sequence[AcceptedTrace]], seed: int) -> list[AcceptedTrace]:
        """Rows for one training run; the same completion of the same problem is never there twice."""
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
