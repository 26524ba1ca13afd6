"""Evaluates several prompters on the same problems in one batch, and searches for the best one by successive halving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from selfimprove.errors import UserError
from selfimprove.evaluation.paired import compare
from selfimprove.evaluation.scores import score
from selfimprove.prompting.chat import Exemplar, PlainQuestion
from selfimprove.prompting.trigger_search import better_half, distinct_triggers, induction, schedule
from selfimprove.protocols import Prompter, Sampler
from selfimprove.records import Checkpoint, JudgedTrace, Problem, Score, Trace
from selfimprove.sampling.sampling import Sampling, requests_for
from selfimprove.sampling.stream import stream_traces
from selfimprove.stages.context import RunContext
from selfimprove.stages.sample import ask, sample
from selfimprove.storage.files import plain
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest


@dataclass(frozen=True, slots=True)
class Standing:
    """Result of one prompter."""

    score: Score
    cut: float
    """Share of traces that the token limit cut off."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a search."""

    problems: int
    """Number of problems that each candidate is scored on, including those of earlier rounds."""
    standings: Mapping[str, Standing]
    kept: tuple[str, ...]
    """Candidates that go on to the next round; in the last round, the winner alone."""


def evaluate_prompters(context: RunContext, prompters: Mapping[str, Prompter], problems: Sequence[Problem], name: str) -> dict[str, Standing]:
    """The standing of each prompter on the same problems, sampled from the base model in one batch as in the workflow's evaluation.

    The traces are kept in the run's folder `name`.
    """
    judged = _judged(context, prompters, problems, name)
    return {way: _standing(context, traces) for way, traces in judged.items()}


def search_prompters(context: RunContext, candidates: Mapping[str, Prompter], development: Sequence[Problem]) -> tuple[str, list[Round]]:
    """The winner of successive halving, and its rounds: each scores the remaining candidates on twice as many problems and keeps half of them.

    A round on disk is not sampled again. The winner's rate is the best of many and therefore biased upwards: evaluate it on other problems.

    Raises:
        UserError: there is no candidate, there are too few problems for the candidates, or one problem is an evaluation problem.
    """
    shared = {problem.id for problem in development} & {problem.id for problem in context.eval_problems}
    if shared or not candidates:
        raise UserError(
            f"problem {min(shared)} is an evaluation problem; search on others" if shared else "there is nothing to search: give candidates"
        )
    rounds, left, asked = list[Round](), list(candidates), 0
    judged: dict[str, list[JudgedTrace]] = {name: [] for name in candidates}
    for number, (_, upto) in enumerate(schedule(len(candidates), len(development)), start=1):
        new = _judged(context, {name: candidates[name] for name in left}, development[asked:upto], f"round {number}")
        for name, traces in new.items():
            judged[name] += traces
        standings = {name: _standing(context, judged[name]) for name in left}
        left, asked = better_half({name: standing.score.pass_at_1 for name, standing in standings.items()}), upto
        rounds.append(Round(upto, standings, tuple(left)))
    return left[0], rounds


def propose_triggers(
    context: RunContext,
    exemplars: Sequence[Exemplar],
    decoding: Sampling,
    known: Sequence[str] = (),
    model: Checkpoint | None = None,
    sampler: Sampler | None = None,
) -> tuple[list[str], dict[str, int]]:
    """Triggers that a model proposes from worked examples, and the number of dropped proposals by reason.

    Args:
        decoding: how many proposals to sample, and how.
        known: triggers that are already candidates.
        model: model that proposes; None for the base model.
        sampler: sampler of that model; None for the workflow's. A model other than the base needs its own.
    """
    model, sampler, folder = model or context.base, sampler or context.workflow.sampler, context.run.root / "proposals"
    requests = requests_for([induction(exemplars)], PlainQuestion("You are a helpful assistant."), decoding, "proposal", context.workflow.seed)

    def make() -> list[Trace]:
        context.progress.begin("proposals", len(requests))
        proposals = []
        for batch in stream_traces(sampler, model, [requests], context.cluster):
            context.progress.advance(len(batch), tokens=sum(trace.output_tokens for trace in batch))
            proposals += batch
        context.progress.end()
        order = {request.id: place for place, request in enumerate(requests)}
        return sorted(proposals, key=lambda trace: order[trace.id])

    made_from = {"requests": digest(requests), "weights": model.weights_hash}
    return distinct_triggers(keep(folder / "proposals.parquet", list[Trace], made_from, make), known)


def rows(standings: Mapping[str, Standing], against: str | None = None) -> list[dict[str, Any]]:
    """The standings as JSON data, each with its paired comparison with `against` if that is given.

    Returns:
        `[{"name", "problems", "accuracy", "interval": 95 %, "tokens": per trace, "unparseable", "cut": shares of the traces, "comparison": the
        fields of `evaluation.paired.Comparison`, or None}, …]`.
    """
    return [
        {
            "name": name,
            "problems": one.score.problems,
            "accuracy": one.score.pass_at_1,
            "interval": list(one.score.interval),
            "tokens": one.score.tokens / (traces := sum(one.score.outcomes.values())),
            "unparseable": one.score.outcomes["unparseable"] / traces,
            "cut": one.cut,
            "comparison": plain(compare(standings[against].score, one.score)) if against is not None and name != against else None,
        }
        for name, one in standings.items()
    ]


def round_rows(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """The rounds as JSON data: `[{"problems", "candidates": rows, each with "kept"}, …]`."""
    return [{"problems": one.problems, "candidates": [{**row, "kept": row["name"] in one.kept} for row in rows(one.standings)]} for one in rounds]


def _judged(context: RunContext, prompters: Mapping[str, Prompter], problems: Sequence[Problem], name: str) -> dict[str, list[JudgedTrace]]:
    workflow = context.workflow
    ways = {way: ask(context, problems, way, prompter, workflow.eval_sampling) for way, prompter in prompters.items()}
    requests = [request for way in ways.values() for request in way]
    shards = sample(context, context.base, requests, problems, context.run.root / name.replace(" ", "-"), name)
    by_id = {item.trace.id: item for item in shards.read()}
    return {way: [by_id[request.id] for request in asked] for way, asked in ways.items()}


def _standing(context: RunContext, judged: Sequence[JudgedTrace]) -> Standing:
    finished = Counter(item.trace.finish_reason for item in judged)
    return Standing(score(context.base.id, judged), finished["length"] / len(judged))
