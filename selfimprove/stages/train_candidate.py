"""How a generation's candidate is made: by training on rows, and then on pairs where they are wanted, or by practising on problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Checkpoint, Pair, Problem, ReinforcementPrompt, TrainingStep, VerifierRow
from selfimprove.seeds import derive_seed
from selfimprove.selection.preference_pairs import pair_up, verifier_rows
from selfimprove.stages.context import RunContext
from selfimprove.stages.train import fine_tune, require_agreement
from selfimprove.storage.files import write_json, write_records
from selfimprove.storage.shards import JudgedShards, stored
from selfimprove.verification.pool import VerifierPool


@dataclass(frozen=True)
class Trained:
    """A candidate and what it took."""

    checkpoint: Checkpoint
    steps: Sequence[TrainingStep]
    counts: Mapping[str, int]
    """`trained_on`: rows, or problems that were practised on; `pairs`; `rollouts` and `rollouts_right`."""


def contrast(context: RunContext, accepted: Sequence[AcceptedTrace], shards: JudgedShards, number: int) -> list[Pair]:
    """What the wrong traces are good for: this generation's pairs, kept beside the data for a verifier; none where the workflow asks for none."""
    rule, run, seed = context.workflow.preference_pairs, context.run, derive_seed(context.workflow.seed, "contrast")
    if rule is None:
        return []
    # What gives a held-out question away is trained on neither as right nor as wrong.
    clean = context.eval_index.given_away if context.eval_index else lambda text: None
    pairs = pair_up(accepted, (item for item in shards.read() if clean(item.trace.text) is None), rule.pairs_per_problem, seed)
    write_records(run.generation(number) / "pairs.parquet", pairs, Pair)
    judged = ((past, item) for past in range(1, number + 1) for item in stored(run.generation(past)) if clean(item.trace.text) is None)
    questions = {problem.id: problem.question for problem in context.problems}
    rows = verifier_rows(judged, questions, rule.verdicts_per_problem, seed)
    write_records(run.generation(number) / "verifier.parquet", rows, VerifierRow)
    return pairs


def learn(context: RunContext, start: Checkpoint, rows: Sequence[AcceptedTrace], pairs: Sequence[Pair], shards: JudgedShards, number: int) -> Trained:
    """The checkpoint trained on rows; where there are pairs and a trainer for them, it goes on from there with the pairs."""
    folder, name = context.run.generation(number), f"generation-{number}"
    preferring = context.workflow.preference_pairs.trainer if context.workflow.preference_pairs and pairs else None
    require_agreement(context, start, rows, shards, folder)
    first, steps = fine_tune(context, start, rows, folder, f"{name}-supervised" if preferring else name, number, f"generation {number}, training")
    if preferring is None:
        return Trained(first, steps, {"trained_on": len(rows)})
    candidate, more = fine_tune(context, first, pairs, folder / "preference", name, number, f"generation {number}, training on pairs", preferring)
    # One curve: the steps on pairs come after the others. The parent is the checkpoint of another generation that this one's began with.
    later = [replace(one, step=len(steps) + one.step, steps=len(steps) + one.steps, tokens=steps[-1].tokens + one.tokens) for one in more]
    return Trained(replace(candidate, parent_id=start.id), [*steps, *later], {"trained_on": len(rows), "pairs": len(pairs)})


def practise(
    context: RunContext, start: Checkpoint, problems: Sequence[Problem], solves: Mapping[str, tuple[int, int]], shards: JudgedShards, number: int
) -> Trained:
    """The checkpoint that practised on those of the problems that were solved by some of their samples and not by others: only they teach.

    Raises:
        UserError: there is no such problem.
    """
    workflow, folder = context.workflow, context.run.generation(number)
    within_reach = [problem for problem in problems if problem.id in solves and 0 < solves[problem.id][0] < solves[problem.id][1]]
    if not within_reach:
        raise UserError(
            f"generation {number}: no problem was solved by some of its samples and not by others, so there is nothing to reinforce; "
            "raise sampling.n, or take other problems"
        )
    exercises = [ReinforcementPrompt(problem, workflow.prompter.messages(problem), workflow.delimiters) for problem in within_reach]
    write_json(folder / "exercises.json", [problem.id for problem in within_reach])
    part: Any = workflow.reinforcement
    trainer = part if part.verifiers else replace(part, verifiers=VerifierPool(workflow.verifier, workflow.verifier_deadline))
    require_agreement(context, start, [], shards, folder, trainer)
    candidate, steps = fine_tune(context, start, exercises, folder, f"generation-{number}", number, f"generation {number}, practice", trainer)
    counted = {name: int(sum(step.figures.get(name, 0) for step in steps)) for name in ("rollouts", "rollouts_right")}
    return Trained(candidate, steps, {"trained_on": len(exercises), **counted})
