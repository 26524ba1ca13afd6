"""The problems to learn from, without those that give a problem of the evaluation, of the test or of a guard away."""

from __future__ import annotations

from selfimprove.errors import UserError
from selfimprove.problems.sets import ProblemSets
from selfimprove.records import Problem
from selfimprove.selection.contamination import EvalIndex
from selfimprove.workflow.workflow import Workflow


def decontaminated(workflow: Workflow, sets: ProblemSets) -> tuple[list[Problem], EvalIndex | None]:
    """The problems to learn from that give no problem of the evaluation, the test or a guard away, and the index that they were looked up in.

    The index is None where the workflow compares nothing.

    Raises:
        UserError: No problem is left to learn from.
    """
    if workflow.contamination is None:
        return list(sets.training), None
    index = EvalIndex(workflow.contamination, sets.untrained)
    clean = index.clean_problems(sets.training)
    if not clean:
        problem = sets.training[0]
        first = f"{problem.id} gives {index.given_away(problem.question)} away"
        raise UserError(
            f"contamination leaves out all {len(sets.training)} problems to learn from ({first}); raise contamination.share, set contamination=None,"
            " or take eval_problems from another source"
        )
    return clean, index
