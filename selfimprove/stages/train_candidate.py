"""Train a candidate: on rows and then, where there are any, on pairs, or by reinforcement on prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from selfimprove.errors import UserError
from selfimprove.protocols import Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, Outcome, Pair, ReinforcementPrompt, TrainingStep, VerifierRow
from selfimprove.seeds import derive_seed
from selfimprove.selection.preference_pairs import pair_up, verifier_rows
from selfimprove.stages.collect import Collected
from selfimprove.stages.context import RunContext
from selfimprove.stages.obstacles import why_none
from selfimprove.stages.roll_out import roll_out
from selfimprove.stages.train import fitting, train
from selfimprove.storage.files import write_json, write_records
from selfimprove.storage.shards import JudgedShards, stored


@dataclass(frozen=True)
class Trained:
    """A candidate and its training."""

    checkpoint: Checkpoint
    steps: Sequence[TrainingStep]
    trained_on: int
    """Rows or, in reinforcement, prompts."""
    trainer: Trainer
    """What trained last."""
    pairs: int | None = None
    long_pairs: int = 0
    """Pairs that are too long for their trainer."""
    rollouts: int | None = None
    rollouts_right: int | None = None


def pair_wrong_traces(context: RunContext, accepted: Sequence[AcceptedTrace], shards: JudgedShards, number: int) -> list[Pair]:
    """This generation's pairs of right and wrong traces; data to train a verifier on is kept beside them. Empty where the workflow asks for none."""
    rule, run, seed = context.workflow.preference_pairs, context.run, derive_seed(context.workflow.seed, "contrast")
    if rule is None:
        return []
    # A trace that gives an evaluation problem away is trained on neither as right nor as wrong.
    given_away = context.eval_index.given_away if context.eval_index else lambda text: None
    pairs = pair_up(accepted, (item for item in shards.read() if given_away(item.trace.text) is None), rule.pairs_per_problem, seed)
    write_records(run.generation(number) / "pairs.parquet", pairs, Pair)
    judged = ((past, item) for past in range(1, number + 1) for item in stored(run.generation(past)) if given_away(item.trace.text) is None)
    questions = {name: problem.question for name, problem in context.known.items()}
    rows = verifier_rows(judged, questions, rule.verdicts_per_problem, seed)
    write_records(run.generation(number) / "verifier.parquet", rows, VerifierRow)
    return pairs


def train_candidate(
    context: RunContext, start: Checkpoint, rows: Sequence[AcceptedTrace], pairs: Sequence[Pair], collected: Collected, number: int
) -> Trained:
    """The candidate of a generation, as the workflow says: by reinforcement, or on rows and then on pairs."""
    if context.workflow.reinforcement:
        return _reinforce(context, start, collected, number)
    folder, name, shards = context.run.generation(number), f"generation-{number}", collected.shards
    rule = context.workflow.preference_pairs
    if rule is None or rule.trainer is None or not pairs:
        candidate, steps = train(context, start, rows, folder, name, f"generation {number}, training", generation=number, traces=shards)
        return Trained(candidate, steps, len(rows), context.workflow.trainer)
    first, steps = train(context, start, rows, folder, f"{name}-supervised", f"generation {number}, training", generation=number, traces=shards)
    fits = fitting(context, first, pairs, folder / "preference", rule.trainer)
    candidate, more = train(
        context, first, fits, folder / "preference", name, f"generation {number}, training on pairs", generation=number, trainer=rule.trainer
    )
    # One curve: the steps on pairs follow the others. The parent is the checkpoint that this generation started from.
    later = [replace(one, step=len(steps) + one.step, steps=len(steps) + one.steps, tokens=steps[-1].tokens + one.tokens) for one in more]
    candidate = replace(candidate, parent_id=start.id)
    return Trained(candidate, [*steps, *later], len(rows), rule.trainer, pairs=len(fits), long_pairs=len(pairs) - len(fits))


def _reinforce(context: RunContext, start: Checkpoint, collected: Collected, number: int) -> Trained:
    """Reinforcement on the problems that some of their samples solved and others did not: only they teach.

    Raises:
        UserError: There is no such problem.
    """
    workflow, folder, solves = context.workflow, context.run.generation(number), collected.sampled.solves
    within_reach = [problem for problem in collected.problems if problem.id in solves and 0 < solves[problem.id][0] < solves[problem.id][1]]
    if not within_reach:
        none = not collected.sampled.outcomes[Outcome.CORRECT]
        why = f" {why_none(collected.shards.read(), {})}" if none else "; raise sampling.n, or take other problems"
        raise UserError(f"generation {number}: no problem was solved by some of its samples and not by others, so there is nothing to reinforce{why}")
    prompts = [ReinforcementPrompt(problem, workflow.prompter.messages(problem), workflow.delimiters) for problem in within_reach]
    write_json(folder / "prompts.json", [problem.id for problem in within_reach])
    part: Any = workflow.reinforcement
    verifiers = part.verifiers or workflow.verifiers
    part = part if part.needs_rollouts else replace(part, verifiers=verifiers)
    candidate, steps = train(
        context,
        start,
        prompts,
        folder,
        f"generation-{number}",
        f"generation {number}, reinforcement",
        generation=number,
        trainer=part,
        traces=collected.shards,
        roll_out=lambda request: roll_out(context, request, within_reach, verifiers),
    )
    rollouts, right = (int(sum(step.figures.get(name, 0) for step in steps)) for name in ("rollouts", "rollouts_right"))
    return Trained(candidate, steps, len(prompts), part, rollouts=rollouts, rollouts_right=right)
