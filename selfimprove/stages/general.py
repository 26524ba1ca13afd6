"""General: rows of instruction data that a training mixes in against forgetting."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfimprove.checkpoints.bare_prompt import opens_thinking
from selfimprove.checkpoints.tokens import encoder
from selfimprove.cluster.hand_over import hand_over
from selfimprove.problems.split import question_key
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.records import AcceptedTrace, Checkpoint, Problem, WeightedRow
from selfimprove.records.ranges import Count
from selfimprove.seeds import derive_seed
from selfimprove.selection.contamination import EvalIndex
from selfimprove.selection.replay import GENERAL, Replay
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest
from selfimprove.workflow.general import read_general

AT_LEAST = 64
"""Fewest rows whose length is asked at once."""


@dataclass(frozen=True, slots=True)
class GeneralDraw:
    """The rows that one training gets, as places in their source."""

    places: tuple[Count, ...]
    contaminated: Count
    """Rows that were passed over because they give problems of the evaluation, of the test or of a guard away."""
    too_long: Count
    tokens: Count | None
    """Tokens of the completions; None where the tokenizer cannot be read apart from its model."""
    closing: str = ""
    """What the completions begin with: the end of the thinking, where the chat template opens it in every prompt."""


@dataclass(frozen=True)
class General:
    """The general rows of a training."""

    rows: Sequence[AcceptedTrace] = ()
    drawn: GeneralDraw | None = None
    """None where the mixture has none."""

    @property
    def counts(self) -> dict[str, int | None]:
        """The fields of `GenerationCounts` about them; empty where the mixture has none."""
        if (drawn := self.drawn) is None:
            return {}
        found = {"general": len(self.rows), "general_tokens": drawn.tokens}
        return {**found, "general_contaminated": drawn.contaminated, "general_too_long": drawn.too_long}


def draw_general(context: RunContext, start: Checkpoint, rows: Sequence[AcceptedTrace], folder: Path, number: int) -> General:
    """The general rows for a training on these rows: a seeded draw of its own in each generation.

    Rows that give a problem of the evaluation, of the test or of a guard away, and rows that are too long for the trainer, are passed over. Where the
    source has fewer rows than the mixture asks for, all of them are taken.

    Args:
        rows: The other rows of the training, which fit.
        folder: Gets `general.json`, the places of the rows in their source.
    """
    workflow, mixture = context.workflow, context.workflow.mixture
    if not rows or not isinstance(mixture, Replay) or mixture.general is None:
        return General()
    problems, wanted = read_general(mixture.general), mixture.general_rows(len(rows))
    made_from = {
        "general rows": digest(problems),
        "number of general rows": str(wanted),
        "tokenizer and chat template": start.tokenizer_hash,
        "trainer": digest([describe(workflow.trainer)]),
    }

    def make() -> GeneralDraw:
        order = list(range(len(problems)))
        random.Random(derive_seed(workflow.seed, GENERAL, number)).shuffle(order)
        closing = f"{workflow.delimiters.end}\n\n" if opens_thinking(start.path, workflow.delimiters) else ""
        trainer, asked = hand_over(context.cluster, "trainer", workflow.trainer), measured_questions(context)
        places, contaminated, too_long = list[int](), 0, 0
        while order and len(places) < wanted:
            some = order[: max(AT_LEAST, wanted - len(places))]
            del order[: len(some)]
            clean = [place for place in some if not gives_away(problems[place], context.eval_index, asked)]
            # A row that fits comes first: a trainer refuses rows none of which fits.
            fits = trainer.call("fitting", start, [rows[0], *(as_row(problems[place], number, closing) for place in clean)])
            fitting = [clean[place - 1] for place in fits if place]
            contaminated, too_long = contaminated + len(some) - len(clean), too_long + len(clean) - len(fitting)
            places += fitting
        if len(places) < wanted:
            context.progress.say(f"generation {number}: {len(places)} general rows of {wanted} wanted: mixture.general has no more that fit")
        encode, kept = encoder(start.path), tuple(places[:wanted])
        tokens = None if encode is None else sum(len(encode(closing + problems[place].answer)) for place in kept)
        return GeneralDraw(kept, contaminated, too_long, tokens, closing)

    drawn = keep(folder / "general.json", GeneralDraw, made_from, make)
    return General([as_row(problems[place], number, drawn.closing) for place in drawn.places], drawn)


def as_row(problem: Problem, number: int, closing: str = "") -> AcceptedTrace:
    """The bare question, as anybody would ask it, with its answer. The workflow's system prompt stays with rows that think."""
    name = f"{GENERAL}/{problem.id}"
    return AcceptedTrace(name, name, PlainQuestion(system=None).messages(problem), closing + problem.answer, GENERAL, number)


def measured_questions(context: RunContext) -> set[str]:
    """The questions of the evaluation, of the test and of the guards."""
    every = (*context.eval_problems, *context.test_problems, *(problem for problems in context.guards.values() for problem in problems))
    return {question_key(problem.question) for problem in every}


def gives_away(problem: Problem, index: EvalIndex | None, asked: Collection[str]) -> bool:
    """Whether a row asks one of these questions, or gives one of the index away."""
    return question_key(problem.question) in asked or bool(index and (index.given_away(problem.question) or index.given_away(problem.answer)))


def weighted(context: RunContext, rows: Sequence[AcceptedTrace]) -> list[AcceptedTrace]:
    """The rows as the trainer gets them: general ones with the weight of their loss, where that is not 1."""
    mixture = context.workflow.mixture
    weight = mixture.general_weight if isinstance(mixture, Replay) else 1.0
    if weight == 1:
        return list(rows)
    return [_weighted(row, weight) if row.origin == GENERAL else row for row in rows]


def _weighted(row: AcceptedTrace, weight: float) -> WeightedRow:
    return WeightedRow(row.trace_id, row.problem_id, row.messages, row.completion, row.origin, row.generation, loss_weight=weight)
