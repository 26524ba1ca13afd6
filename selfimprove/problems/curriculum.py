"""Problems in levels, from easy to hard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from selfimprove.problems.split import question_key
from selfimprove.protocols import ProblemSource
from selfimprove.records import Problem
from selfimprove.records.numbers import Float
from selfimprove.records.questions import LEVEL
from selfimprove.settings.objects import no_class


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Curriculum:
    """Problems in levels: each generation learns from one level, and every evaluation asks all of them.

    Give it as `Workflow.problems`. A generation works on the first level that no champion has passed yet, and on the last level once all are passed.
    """

    levels: Annotated[tuple[ProblemSource, ...], Field(min_length=1)]
    """The sources, easiest first. Ids get the level in front, as in `level-2/add-2-17`; a question that several levels hold belongs to the first."""
    advance_at: Annotated[Float, Field(gt=0, le=1)] | None = 0.8
    """Solve rate of a champion on the evaluation problems of a level at which the level is passed. None: each generation moves one level on, whatever
    the evaluation says, which needs no reference answers."""

    @field_validator("levels", mode="before")
    @classmethod
    def _sources(cls, value: object) -> object:
        sources = tuple(map(no_class, value)) if isinstance(value, list | tuple) else value
        if isinstance(sources, tuple) and any(isinstance(one, Curriculum) for one in sources):
            raise ValueError("a level has no levels of its own; list its sources as further levels")
        return sources

    def load(self) -> list[Problem]:
        """The problems of all levels, the first level's first, each with its level in the metadata: `Problem.level`."""
        problems, first = list[Problem](), dict[str, int]()
        for level, source in enumerate(self.levels, start=1):
            for problem in source.load():
                if first.setdefault(question_key(problem.question), level) == level:
                    metadata = {**problem.metadata, LEVEL: level}
                    problems.append(replace(problem, id=f"level-{level}/{problem.id}", metadata=metadata))
        return problems

    def level_at(self, number: int, champions: Sequence[Mapping[int, float]]) -> int:
        """The level of generation `number`, from 1.

        Args:
            champions: The solve rate on each level of the base model and of every champion since, in order. One evaluation may pass several levels.
        """
        if self.advance_at is None:
            return min(number, len(self.levels))
        level = 1
        for rates in champions:
            while level < len(self.levels) and rates[level] >= self.advance_at:
                level += 1
        return level
