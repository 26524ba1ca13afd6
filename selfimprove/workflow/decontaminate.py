"""The problems to learn from, without those that give an evaluation problem away."""

from __future__ import annotations

from collections.abc import Sequence

from selfimprove.errors import UserError
from selfimprove.records import Problem
from selfimprove.selection.contamination import EvalIndex
from selfimprove.workflow.workflow import Workflow


def decontaminated(workflow: Workflow, problems: Sequence[Problem], eval_problems: Sequence[Problem]) -> tuple[list[Problem], EvalIndex | None]:
    """The problems that give no evaluation problem away, and the index that they were looked up in; None where the workflow compares nothing.

    Raises:
        UserError: No problem is left to learn from.
    """
    if workflow.contamination is None:
        return list(problems), None
    index = EvalIndex(workflow.contamination, eval_problems)
    clean = index.clean_problems(problems)
    if not clean:
        first = f"{problems[0].id} gives {index.given_away(problems[0].question)} away"
        raise UserError(
            f"contamination leaves out all {len(problems)} problems to learn from ({first}); raise contamination.share, set contamination=None,"
            " or take eval_problems from another source"
        )
    return clean, index
