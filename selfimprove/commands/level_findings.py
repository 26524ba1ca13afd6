"""What `check` finds out about levels: their sizes, and what it takes to pass one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import ceil

from selfimprove.commands.finding import Finding
from selfimprove.problems.curriculum import Curriculum
from selfimprove.problems.sets import ProblemSets
from selfimprove.workflow.workflow import Workflow


def level_findings(workflow: Workflow, sets: ProblemSets) -> Iterator[Finding]:
    """The levels of the problems to learn from, and whether the generations can reach the last."""
    source = workflow.problems
    if not isinstance(source, Curriculum):
        return
    last = len(source.levels)
    counts = [Counter(problem.level for problem in problems) for problems in (sets.training, sets.evaluation)]
    sizes = ", ".join(f"{level}: {counts[0][level]} for training, {counts[1][level]} for evaluation" for level in range(1, last + 1))
    if source.advance_at is None:
        reached = min(last, workflow.generations)
        rule = "each generation moves one level on, whatever the evaluation says"
        if reached < last:
            rule += f"; generations={workflow.generations} learn from levels 1 to {reached} alone"
        yield Finding("levels", True, f"{sizes}; {rule}", warning=reached < last)
        return
    fewest = min(counts[1].values())
    wanted = f"{ceil(source.advance_at * fewest - 1e-9)} of {fewest} evaluation problems"
    yield Finding("levels", True, f"{sizes}; a level is passed from pass@1 {source.advance_at:g} on: with one sample each, {wanted}")
