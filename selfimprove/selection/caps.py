"""Limits on accepted traces: near-duplicates, traces per problem, difficulty."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass as record
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.records import AcceptedTrace
from selfimprove.records.numbers import Float, PositiveInt
from selfimprove.seeds import derive_seed

PERMUTATIONS = 128
"""Hash functions of a MinHash; with 128, the standard error of a similarity is at most 0.045."""
SHINGLE = 3
"""Words in an n-gram."""


@record(frozen=True, slots=True)
class EligibleRow:
    """A row that selection would keep, with what the caps consider."""

    row: AcceptedTrace
    tokens: int
    """Tokens of the output."""
    switches: int
    """Switches to another thought."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Caps:
    """Limits on the accepted traces of a generation, applied in the order of the fields."""

    near_duplicates: Annotated[Float, Field(gt=0, le=1)] | None = None
    """Similarity from which two completions of one problem are duplicates: the Jaccard similarity of their word 3-grams, estimated by MinHash. The
    first is kept, the others are dropped as `duplicate`. 1 drops only equal completions; None drops none."""
    prefer: Literal["first", "short", "steady", "diverse"] = "first"
    """Which traces of a problem come first: `first` orders them by id, `short` by tokens, `steady` by switches of thought; `diverse` takes next the
    trace least like those before it."""
    per_problem: PositiveInt | None = None
    """Maximum number of traces of one problem (ReST-EM: 10, Singh et al. 2024); the others are dropped as `over cap`. None: no limit."""
    difficulty_bins: PositiveInt | None = None
    """Number of bins that group problems by solve rate. No bin gives more than its even share of all traces, rounded up; the rest, a seeded choice,
    is dropped as `over bin`. None: easy problems may dominate."""

    def keep(self, eligible: Sequence[EligibleRow], solve_rates: Mapping[str, float]) -> tuple[list[AcceptedTrace], dict[str, int]]:
        """The kept rows, ordered by id, and counted drops. `solve_rates` holds each problem's share of correct samples."""
        drops: Counter[str] = Counter()
        of_problem: defaultdict[str, list[EligibleRow]] = defaultdict(list)
        for one in sorted(eligible, key=lambda one: one.row.trace_id):
            of_problem[one.row.problem_id].append(one)
        kept: list[AcceptedTrace] = []
        for group in of_problem.values():
            different = list(self._different(group))
            drops["duplicate"] += len(group) - len(different)
            chosen = self._ordered(different)[: self.per_problem]
            drops["over cap"] += len(different) - len(chosen)
            kept += [one.row for one in chosen]
        if self.difficulty_bins:
            kept, over = _balanced(kept, solve_rates, self.difficulty_bins)
            drops["over bin"] += over
        return sorted(kept, key=lambda row: row.trace_id), {reason: count for reason, count in drops.items() if count}

    def _different(self, group: Sequence[EligibleRow]) -> Iterator[EligibleRow]:
        if self.near_duplicates is None:
            yield from group
            return
        seen: list[tuple[str, Any]] = []
        for one in group:
            text, sketch = one.row.completion, _sketch(one.row.completion)
            # MinHash only estimates, so for 1 the texts themselves are compared.
            alike = (text == other if self.near_duplicates == 1 else sketch.jaccard(its) >= self.near_duplicates for other, its in seen)
            if not any(alike):
                seen.append((text, sketch))
                yield one

    def _ordered(self, group: list[EligibleRow]) -> list[EligibleRow]:
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


def _spread(group: list[EligibleRow]) -> list[EligibleRow]:
    """The first row, then repeatedly the one that is least similar to its nearest among those before it."""
    waiting = [(one, _sketch(one.row.completion)) for one in group]
    ordered, sketches = [waiting[0][0]], [waiting.pop(0)[1]]
    nearest = [sketches[0].jaccard(sketch) for _, sketch in waiting]
    while waiting:
        place = min(range(len(waiting)), key=lambda number: nearest[number])
        one, sketch = waiting.pop(place)
        nearest.pop(place)
        ordered.append(one)
        nearest = [max(before, sketch.jaccard(other)) for before, (_, other) in zip(nearest, waiting, strict=True)]
    return ordered


def _balanced(rows: Sequence[AcceptedTrace], solve_rates: Mapping[str, float], bins: int) -> tuple[list[AcceptedTrace], int]:
    """Rows with no bin over its share, and the number left out."""
    most, kept, taken = math.ceil(len(rows) / bins), list[AcceptedTrace](), Counter[int]()
    # In the order of the ids, the same problems would be left out every time.
    for row in sorted(rows, key=lambda row: derive_seed(0, "bins", row.trace_id)):
        bin = min(bins - 1, int(solve_rates.get(row.problem_id, 1.0) * bins))
        if taken[bin] < most:
            taken[bin] += 1
            kept.append(row)
    return kept, len(rows) - len(kept)
