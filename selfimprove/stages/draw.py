"""The problems of a generation: where they come from, and which of them are drawn."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from selfimprove.evaluation.levels import by_level
from selfimprove.problems.curriculum import Curriculum
from selfimprove.records import AcceptedTrace, Problem
from selfimprove.seeds import derive_seed
from selfimprove.selection.reflection import is_reflected
from selfimprove.stages.context import RunContext
from selfimprove.storage.files import read_records
from selfimprove.storage.proposed import proposed_problems


def draw(context: RunContext, number: int) -> list[Problem]:
    """The problems of this generation: those that were proposed for it, and the given ones or a seeded draw of them; see `Proposer.given`."""
    proposed, rule = proposed_problems(context.run.generation(number)), context.workflow.proposer
    return proposed if proposed and rule and not rule.given else [*_drawn(context, number), *proposed]


def _drawn(context: RunContext, number: int) -> list[Problem]:
    """The given problems of this generation: all below the cap of accepted traces, or a seeded draw of them."""
    cap, wanted = context.workflow.accepted_cap, context.workflow.problems_per_generation
    accepted = Counter(row.problem_id for rows in accepted_before(context, number) for row in rows if not is_reflected(row))
    below = [problem for problem in drawn_from(context, number) if cap is None or accepted[problem.id] < cap]
    if wanted is None or wanted >= len(below):
        return below
    return random.Random(derive_seed(context.workflow.seed, "draw", number)).sample(below, wanted)


def drawn_from(context: RunContext, number: int) -> Sequence[Problem]:
    """The problems that this generation may be drawn from: its own, where the run folder keeps some; else the workflow's, of one level if they have
    levels."""
    if (own := context.run.own_problems().get(number)) is not None:
        return own
    level = level_of(context, number)
    return context.problems if level is None else [problem for problem in context.problems if problem.level == level]


def level_of(context: RunContext, number: int) -> int | None:
    """The level that this generation works on, which the evaluations of the champions before it decide; None without levels."""
    source = context.workflow.problems
    if not isinstance(source, Curriculum):
        return None
    # The last champion is not known yet where sampling does not wait for it.
    before = context.run.reports()[: number - context.workflow.lag(number)]
    rates = [{level: one.pass_at_1 for level, one in by_level(report.kept_score.solved, context.eval_problems).items()} for report in before]
    return source.level_at(number, rates)


def accepted_before(context: RunContext, number: int) -> list[list[AcceptedTrace]]:
    """The accepted rows of each earlier generation, the first generation's first."""
    return [read_records(context.run.generation(past) / "accepted.parquet", AcceptedTrace) for past in range(1, number)]
