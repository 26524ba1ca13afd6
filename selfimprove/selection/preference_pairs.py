"""Uses wrong traces: in pairs with right ones of the same problem, and as training data for a verifier."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Annotated

from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from selfimprove.protocols import Trainer
from selfimprove.records import AcceptedTrace, JudgedTrace, Outcome, Pair, VerifierRow
from selfimprove.records.numbers import Int, PositiveInt
from selfimprove.seeds import derive_seed
from selfimprove.settings.objects import no_class


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class PreferencePairs:
    """Every generation writes `pairs.parquet` from its own traces and `verifier.parquet` from all traces so far."""

    trainer: Trainer | None = None
    """Trains on the pairs, starting from the checkpoint that the rows have trained: `DPO()`. None: the pairs are only stored."""
    pairs_per_problem: PositiveInt = 2
    """Maximum number of pairs of one problem."""
    verdicts_per_problem: Annotated[Int, Field(ge=2)] = 8
    """Maximum number of traces of one problem in `verifier.parquet`: half of them right, half wrong."""

    _objects = field_validator("*", mode="before")(no_class)


def pair_up(accepted: Sequence[AcceptedTrace], judged: Iterable[JudgedTrace], most: int, seed: int) -> list[Pair]:
    """Pairs of an accepted trace and a wrong one of the same problem: a seeded draw from all pairs, at most `most` of one problem.

    Both have the prompt that training shows. A trace is wrong if its outcome is `wrong`, its turn ended, and it was not accepted (for partial credit,
    or by a majority). Traces with the same text count once.
    """
    taken = {row.trace_id for row in accepted}
    right: dict[str, dict[str, AcceptedTrace]] = defaultdict(dict)
    wrong: dict[str, dict[str, JudgedTrace]] = defaultdict(dict)
    for row in sorted(accepted, key=lambda row: row.trace_id):
        right[row.problem_id].setdefault(row.completion, row)
    for item in judged:
        trace = item.trace
        may_reject = item.verdict.outcome is Outcome.WRONG and trace.finish_reason == "stop" and trace.id not in taken
        if may_reject and trace.problem_id in right and trace.text not in right[trace.problem_id]:
            known = wrong[trace.problem_id].setdefault(trace.text, item)
            wrong[trace.problem_id][trace.text] = min(known, item, key=lambda one: one.trace.id)
    pairs: list[Pair] = []
    for problem in sorted(wrong):
        rejected = sorted(wrong[problem].values(), key=lambda item: item.trace.id)
        every = list(product(right[problem].values(), rejected))
        drawn = random.Random(derive_seed(seed, "pairs", problem)).sample(every, min(most, len(every)))
        pairs += [_pair(row, item) for row, item in drawn]
    return pairs


def _pair(row: AcceptedTrace, item: JudgedTrace) -> Pair:
    trace = item.trace
    return Pair(
        problem_id=row.problem_id,
        generation=row.generation,
        messages=row.messages,
        chosen_id=row.trace_id,
        chosen=row.completion,
        chosen_token_ids=row.completion_token_ids,
        chosen_forced=row.forced,
        rejected_id=trace.id,
        rejected=trace.text,
        rejected_token_ids=trace.output_token_ids,
        rejected_forced=trace.forced,
    )


def verifier_rows(judged: Iterable[tuple[int, JudgedTrace]], questions: Mapping[str, str], most: int, seed: int) -> list[VerifierRow]:
    """Training data for a verifier, as V-STaR (Hosseini et al. 2024) collects it: right and wrong traces of all generations.

    Each problem has as many right traces as wrong ones, at most `most` in all: a seeded draw from those with different texts. A problem with only one
    kind is left out. Traces that are neither `correct` nor `wrong` are ignored.

    Args:
        judged: traces with the generation that sampled them, oldest first. They are read once, and few are held in memory.
        questions: questions by problem id.
    """
    kept: dict[str, dict[bool, dict[str, tuple[int, VerifierRow]]]] = defaultdict(lambda: {True: {}, False: {}})
    for generation, item in judged:
        trace, outcome = item.trace, item.verdict.outcome
        if outcome not in (Outcome.CORRECT, Outcome.WRONG):
            continue
        right = outcome is Outcome.CORRECT
        drawn = kept[trace.problem_id][right]
        if trace.text not in drawn:
            row = VerifierRow(trace.problem_id, questions[trace.problem_id], trace.id, trace.text, item.verdict.answer, right, generation)
            drawn[trace.text] = derive_seed(seed, trace.problem_id, trace.text), row
            if len(drawn) > most // 2:
                del drawn[max(drawn, key=lambda text: drawn[text][0])]
    rows: list[VerifierRow] = []
    for problem in sorted(kept):
        both = kept[problem]
        each = min(len(both[True]), len(both[False]))
        for right in (True, False):
            rows += [row for _, row in sorted(both[right].values(), key=lambda ranked: ranked[0])[:each]]
    return rows
