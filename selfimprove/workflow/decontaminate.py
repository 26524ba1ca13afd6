"""The problems to learn from, without those that give a problem of the evaluation, of the test or of a guard away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selfimprove.errors import UserError
from selfimprove.problems.sets import ProblemSets
from selfimprove.records import Problem
from selfimprove.selection.contamination import EvalIndex
from selfimprove.workflow.workflow import Workflow


def decontaminated(workflow: Workflow, sets: ProblemSets) -> tuple[ProblemSets, EvalIndex | None]:
    """The sets with those problems to learn from alone that give no problem of the evaluation, the test or a guard away, and the index that they were
    looked up in.

    The index is None where the workflow compares nothing.

    Raises:
        UserError: No problem is left to learn from, or none of a level, or of a round's source.
    """
    if workflow.contamination is None:
        return sets, None
    index = EvalIndex(workflow.contamination, sets.untrained)
    clean = _clean(index, sets.training, "to learn from")
    for level in {problem.level for problem in sets.training} - {problem.level for problem in clean}:
        _clean(index, [problem for problem in sets.training if problem.level == level], f"of level {level}")
    own = {number: _clean(index, problems, f"of rounds.{number}") for number, problems in sets.own.items()}
    return replace(sets, training=clean, own=own), index


def _clean(index: EvalIndex, problems: Sequence[Problem], which: str) -> list[Problem]:
    if clean := index.clean_problems(problems):
        return clean
    first = f"{problems[0].id} gives {index.given_away(problems[0].question)} away"
    raise UserError(
        f"contamination leaves out all {len(problems)} problems {which} ({first}); raise contamination.share, set contamination=None,"
        " or take eval_problems from another source"
    )
