"""Controls: other rows in place of the accepted ones, to show what selection by verdicts is worth."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Control, Rows
from selfimprove.records import AcceptedTrace, Problem
from selfimprove.seeds import derive_seed


@dataclass(frozen=True, config={"extra": "forbid"})
class RandomSelection(Control):
    """As many traces as were trained on, from the same generations, drawn at random whatever their verdict.

    If it does as well as the champion, verdicts are not what the gain comes from.
    """

    name = "random_selection"

    def rows(self, trained_on: Rows, sampled: Callable[[int], Rows], problems: Mapping[str, Problem], seed: int) -> list[AcceptedTrace]:
        """As many sampled traces of each generation as were trained on, without repeats; all of them if there are fewer."""
        wanted, drawn = Counter(row.generation for row in trained_on), list[AcceptedTrace]()
        for generation, count in sorted(wanted.items()):
            pool = sorted(sampled(generation), key=lambda row: row.trace_id)
            drawn += random.Random(derive_seed(seed, self.name, generation)).sample(pool, min(count, len(pool)))
        return drawn


@dataclass(frozen=True, config={"extra": "forbid"})
class ShuffledAnswers(Control):
    """The accepted traces, each given to the question of another problem.

    What it gains over the base model is form alone: how to think and to end, not what to answer.
    """

    name = "shuffled_answers"

    def rows(self, trained_on: Rows, sampled: Callable[[int], Rows], problems: Mapping[str, Problem], seed: int) -> list[AcceptedTrace]:
        """The same questions as often, and the same traces. No question keeps a trace of its own, unless one has more than half of the rows."""
        order = list(trained_on)
        random.Random(derive_seed(seed, self.name)).shuffle(order)
        # In blocks of one problem, so that a shift by the largest block leaves no trace within its own.
        order.sort(key=lambda row: row.problem_id)
        shift = max(Counter(row.problem_id for row in order).values(), default=0)
        return [
            replace(row, completion=other.completion, completion_token_ids=None, forced=(), origin="shuffled")
            for row, other in zip(order, order[shift:] + order[:shift], strict=True)
        ]


@dataclass(frozen=True, config={"extra": "forbid"})
class AnswerOnly(Control):
    """The same questions with their reference answers and no thinking: `Workflow.answer_only_baseline`."""

    name = "answer_only"
    thinks = False

    def rows(self, trained_on: Rows, sampled: Callable[[int], Rows], problems: Mapping[str, Problem], seed: int) -> list[AcceptedTrace]:
        """The rows with the reference answer in place of the trace."""
        answers = {name: problem.answer for name, problem in problems.items()}
        return [replace(row, completion=answers[row.problem_id], completion_token_ids=None, forced=(), origin="answer-only") for row in trained_on]
