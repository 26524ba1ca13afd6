"""Which of the traces that may be trained on are, where there are too many or they are too much alike."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass as record
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.records import AcceptedTrace
from selfimprove.seeds import derive_seed

PERMUTATIONS = 128
"""Of a MinHash: the standard error of a similarity is at most 0.045."""
SHINGLE = 3
"""Words that are looked at together."""


@record(frozen=True, slots=True)
class Candidate:
    """A row that selection would keep, with what the caps look at."""

    row: AcceptedTrace
    tokens: int
    """Of the output."""
    switches: int
    """To another thought."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Caps:
    """Limits on a generation's accepted traces, taken in the order of the fields."""

    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of traces of one problem whose completions share so much of their word 3-grams (Jaccard similarity, estimated by MinHash), only the first is
    kept; the others are dropped as `duplicate`. 1 is for equal completions. None keeps all."""
    prefer: Literal["first", "short", "steady", "diverse"] = "first"
    """Which traces of a problem come first: by id, those of the fewest tokens, those that switch thoughts least, or each the one that is least like
    those before it."""
    per_problem: PositiveInt | None = None
    """The most traces of one problem (ReST-EM: 10, Singh et al. 2024); the others are dropped as `over cap`. None for no cap."""
    difficulty_bins: PositiveInt | None = None
    """Problems fall into so many bins by the share of their samples that are right; no bin gives more than its even share of all traces, rounded up;
    the others, a seeded choice, are dropped as `over bin`. None: easy problems may be in the majority."""

    def keep(self, candidates: Sequence[Candidate], solve_rates: Mapping[str, float]) -> tuple[list[AcceptedTrace], dict[str, int]]:
        """The rows that are kept, in the order of their ids, and counted drops; `solve_rates` holds each problem's share of right samples."""
        drops: Counter[str] = Counter()
        of_problem: defaultdict[str, list[Candidate]] = defaultdict(list)
        for candidate in sorted(candidates, key=lambda one: one.row.trace_id):
            of_problem[candidate.row.problem_id].append(candidate)
        kept: list[AcceptedTrace] = []
        for group in of_problem.values():
            different = list(self._different(group))
            drops["duplicate"] += len(group) - len(different)
            chosen = self._ordered(different)[: self.per_problem]
            drops["over cap"] += len(different) - len(chosen)
            kept += [candidate.row for candidate in chosen]
        if self.difficulty_bins:
            kept, over = _balanced(kept, solve_rates, self.difficulty_bins)
            drops["over bin"] += over
        return sorted(kept, key=lambda row: row.trace_id), {reason: count for reason, count in drops.items() if count}

    def _different(self, group: Sequence[Candidate]) -> Iterator[Candidate]:
        if self.near_duplicates is None:
            yield from group
            return
        seen: list[tuple[str, Any]] = []
        for candidate in group:
            text, sketch = candidate.row.completion, _sketch(candidate.row.completion)
            # MinHash only estimates, so that 1 is compared letter by letter.
            alike = (text == other if self.near_duplicates == 1 else sketch.jaccard(its) >= self.near_duplicates for other, its in seen)
            if not any(alike):
                seen.append((text, sketch))
                yield candidate

    def _ordered(self, group: list[Candidate]) -> list[Candidate]:
        if self.prefer == "short":
            return sorted(group, key=lambda one: one.tokens)
        if self.prefer == "steady":
            return sorted(group, key=lambda one: one.switches)
        return _spread(group) if self.prefer == "diverse" else group


def _sketch(text: str) -> Any:
    from datasketch import MinHash

    words = text.split()
    shingles = {" ".join(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1))}
    sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
    sketch.update_batch([shingle.encode() for shingle in sorted(shingles)])
    return sketch


def _spread(group: list[Candidate]) -> list[Candidate]:
    """The first, then always the one whose nearest among those before it is farthest."""
    waiting = [(candidate, _sketch(candidate.row.completion)) for candidate in group]
    ordered, sketches = [waiting[0][0]], [waiting.pop(0)[1]]
    nearest = [sketches[0].jaccard(sketch) for _, sketch in waiting]
    while waiting:
        place = min(range(len(waiting)), key=lambda number: nearest[number])
        candidate, sketch = waiting.pop(place)
        nearest.pop(place)
        ordered.append(candidate)
        nearest = [max(before, sketch.jaccard(other)) for before, (_, other) in zip(nearest, waiting, strict=True)]
    return ordered


def _balanced(rows: Sequence[AcceptedTrace], solve_rates: Mapping[str, float], bins: int) -> tuple[list[AcceptedTrace], int]:
    """Rows of which no bin has more than its share, and how many are left out."""
    most, kept, taken = math.ceil(len(rows) / bins), list[AcceptedTrace](), Counter[int]()
    # An order of its own: that of the ids would leave out the same problems again and again.
    for row in sorted(rows, key=lambda row: derive_seed(0, "bins", row.trace_id)):
        bin = min(bins - 1, int(solve_rates.get(row.problem_id, 1.0) * bins))
        if taken[bin] < most:
            taken[bin] += 1
            kept.append(row)
    return kept, len(rows) - len(kept)
