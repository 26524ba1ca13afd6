"""Problems from a reasoning-gym task."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.problems.split import question_key
from selfimprove.records import Problem
from selfimprove.records.numbers import Int, PositiveInt

MOST_DRAWS_PER_PROBLEM = 20


@dataclass(frozen=True, config={"extra": "forbid"})
class ReasoningGym:
    """Distinct problems from a reasoning-gym task.

    The same settings give the same problems in the same order, and a larger `size` continues a smaller one. A few tasks, such as `word_ladder` and
    `ransom_note`, iterate over Python sets: they need a fixed `PYTHONHASHSEED`.
    """

    task: str = "chain_sum"
    """Name of the task in reasoning-gym."""
    size: PositiveInt = 500
    """Number of problems, all with different questions."""
    seed: Annotated[Int, Field(ge=0)] = 0
    """Seed of the draw."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The task's own settings other than `size` and `seed`: `{"min_terms": 2, "max_terms": 3}`. JSON values only."""

    def load(self) -> list[Problem]:
        """The problems, `chain_sum-0` first.

        The metadata holds what the task's scorer needs: `task`, `settings`, and `entry`, the task's metadata as JSON values (a tuple becomes
        `{"tuple": [...]}`).

        Raises:
            UserError: the task is unknown, refuses its settings, has no reference answers, or runs out of distinct questions.
        """
        problems: dict[str, Problem] = {}
        for entry in itertools.islice(self._entries(), self.size * MOST_DRAWS_PER_PROBLEM):
            if not isinstance(entry["answer"], str) or not entry["answer"].strip():
                raise UserError(f"the reasoning-gym task {self.task} gives no reference answers; choose another task")
            metadata = {"task": self.task, "settings": dict(self.settings), "entry": _as_json(entry["metadata"])}
            problem = Problem(f"{self.task}-{len(problems)}", entry["question"], entry["answer"], f"reasoning-gym:{self.task}", metadata)
            problems.setdefault(question_key(problem.question), problem)
            if len(problems) == self.size:
                return list(problems.values())
        raise UserError(
            f"the reasoning-gym task {self.task} gave only {len(problems)} distinct questions in"
            f" {self.size * MOST_DRAWS_PER_PROBLEM} draws, not {self.size}; lower `size` or widen `settings`"
        )

    def _entries(self) -> Iterator[dict[str, Any]]:
        """An endless sequence of entries."""
        import reasoning_gym

        known = reasoning_gym.factory.DATASETS
        if self.task not in known:
            close = difflib.get_close_matches(self.task, known) or sorted(known)
            raise UserError(f"reasoning-gym has no task {self.task!r}; did you mean {', '.join(close)}?")
        if clash := {"size", "seed"} & set(self.settings):
            raise UserError(f"`settings` of the reasoning-gym task {self.task} holds {min(clash)!r}; give it as a field of ReasoningGym")
        # An entry depends on seed + index alone, so the next `size` seeds continue this data set.
        for seed in itertools.count(self.seed, self.size):
            try:
                entries = reasoning_gym.create_dataset(self.task, size=self.size, seed=seed, **self.settings)
                yield from (entries[index] for index in range(self.size))
            except Exception as error:  # Tasks check their settings by assertions, or fail while drawing.
                raise UserError(f"the reasoning-gym task {self.task} fails with settings {dict(self.settings)}: {error!r}; correct them") from error


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return {"tuple": [_as_json(item) for item in value]}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    # Subclasses of str, such as NumPy's, become plain strings; so does everything that JSON does not know.
    return value if value is None or isinstance(value, bool | int | float) else str(value)
