"""Measures the uses of a process reward model: the champion of a run votes and searches with it, compared at equal sampled tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selfimprove.evaluation.equal_tokens import (
    PLAIN,
    Difference,
    RewardUses,
    Sifted,
    Spent,
    curves,
    difference,
    early_stop,
    point,
)
from selfimprove.evaluation.reranking import CHOICES, ScoredAnswer
from selfimprove.process_reward.aggregation import Aggregation, aggregate
from selfimprove.process_reward.search import HOPELESS, Search
from selfimprove.process_reward.step_rewards import StepRewards
from selfimprove.records import AnnotatedTrace, Checkpoint, Outcome, Request
from selfimprove.reports.reward_uses import plot
from selfimprove.sampling.sampling import Sampling
from selfimprove.selection.equations import false_equations
from selfimprove.stages.annotate import annotate
from selfimprove.stages.context import RunContext
from selfimprove.stages.sample import ask, sample
from selfimprove.stages.score_steps import score_steps
from selfimprove.stages.search import search
from selfimprove.storage.files import write_json
from selfimprove.thinking.traces import parsed
from selfimprove.tracking.figures import legal


@dataclass(frozen=True)
class Uses:
    """The uses to measure."""

    plain: Sampling
    """Plain samples, the baseline: every use is compared with as many of them as take the same number of tokens."""
    searches: Mapping[str, tuple[int, Search]]
    """Searches by name: the number of trees for each problem, and how each is searched. Temperature and limits come from `plain`."""
    lowest_steps: tuple[float, ...] = ()
    """Values of a selector's `lowest_step` to try."""
    aggregation: Aggregation = "last"
    """How the rewards of a plain sample are combined into one."""


def compare_uses(context: RunContext, guidance: StepRewards, checkpoint: Checkpoint, uses: Uses, folder: Path) -> RewardUses:
    """Measure all uses on the run's evaluation problems; `result.json` and `result.png` in `folder` hold the result.

    Raises:
        UserError: a setting is invalid, or the folder was made with other settings.
    """
    problems = context.eval_problems

    def asked(decoding: Sampling, name: str) -> Sequence[Request]:
        return ask(context, problems, name, sampling=decoding)

    requests = asked(uses.plain, "plain")
    shards = sample(context, checkpoint, requests, problems, folder / "plain", "plain samples")
    scores = score_steps(context, guidance, shards.read(), problems, folder / "plain", "plain samples, scoring thoughts")
    samples = list(annotate(shards.read(), {}, scores))
    pool = candidates(samples, uses.aggregation)
    tokens = {problem: sum(one.tokens for one in several) for problem, several in pool.items()}
    spent, stops = [Spent(PLAIN, pool, tokens, len(samples))], []
    for number, (name, (trees, method)) in enumerate(uses.searches.items()):
        several = asked(replace(uses.plain, n=trees), name)
        found = search(context, guidance, method, checkpoint, several, problems, folder / f"search-{number}", name)
        spent.append(Spent(name, candidates(found.traces, method.aggregation), found.tokens, found.scored))
        if method.stop_below is not None:
            given_up = sum(item.trace.finish_reason == HOPELESS for item in found.traces)
            stops.append(early_stop(spent[-1], given_up, pool))
    result = RewardUses(
        checkpoint_id=checkpoint.id,
        problems=len(problems),
        points=(*curves(pool), *(point(one, choice, pool) for one in spent[1:] for choice in CHOICES)),
        differences=tuple(differences(spent, pool, context.workflow.seed)),
        stops=tuple(stops),
        sifted=tuple(sift(samples, lowest) for lowest in uses.lowest_steps),
    )
    files = [folder / "result.json", folder / "result.png"]
    write_json(files[0], result)
    plot(result, files[1])
    context.tracker.log_figures("process_reward", metrics(result), files)
    return result


def candidates(judged: Iterable[AnnotatedTrace], how: Aggregation) -> dict[str, list[ScoredAnswer]]:
    """Answer, correctness, reward and tokens of each trace, by problem; a trace that was given up has no answer."""
    found: defaultdict[str, list[ScoredAnswer]] = defaultdict(list)
    for item in judged:
        right = item.verdict.outcome is Outcome.CORRECT
        found[item.trace.problem_id].append(ScoredAnswer(item.verdict.answer, right, aggregate(item.rewards, how), item.trace.output_tokens))
    return dict(found)


def differences(spent: Sequence[Spent], pool: Mapping[str, Sequence[ScoredAnswer]], seed: int) -> Iterable[Difference]:
    """Compare votes by reward with the majority of the same plain samples, and each search's weighted majority with every choice of plain samples."""
    for choice in ("best of N", "weighted majority"):
        yield difference(spent[0], choice, "majority", pool, seed)
    for one in spent[1:]:
        for against in CHOICES:
            yield difference(one, "weighted majority", against, pool, seed)


def sift(samples: Iterable[AnnotatedTrace], lowest: float) -> Sifted:
    """Result of selecting with this `lowest_step`."""
    kept, dropped = list[bool](), list[bool]()
    for item in samples:
        if item.verdict.outcome is Outcome.CORRECT:
            lucky = next(false_equations(parsed(item.trace).thinking or ""), None) is not None
            (dropped if min(item.rewards, default=0.0) < lowest else kept).append(lucky)
    return Sifted(lowest, len(kept), len(dropped), sum(kept), sum(dropped))


def metrics(result: RewardUses) -> list[tuple[dict[str, float], int]]:
    """Metrics for the tracker, each with its step: accuracies at their tokens per problem, rounded; the rest at 0."""
    found = [({legal(f"{one.way} {one.choice}"): one.accuracy}, round(one.tokens)) for one in result.points]
    for gap in result.differences:
        key = legal(f"{gap.way} {gap.choice} over {gap.against}")
        found.append(({key: gap.difference, f"{key}_low": gap.low, f"{key}_high": gap.high}, 0))
    for stop in result.stops:
        key = legal(stop.way)
        found.append(({f"{key}_hopeless": stop.hopeless / stop.traces, f"{key}_saved": 1 - stop.tokens / stop.plain_tokens}, 0))
    return found
