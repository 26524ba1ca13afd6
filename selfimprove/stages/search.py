"""The stage that searches for traces under a process reward model, round by round, on disk: it is taken up where it stopped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selfimprove.errors import UserError
from selfimprove.process_reward.search import HOPELESS, Branch, Search
from selfimprove.process_reward.step_rewards import StepRewards
from selfimprove.records import AnnotatedTrace, Checkpoint, Problem, Request
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.stages.sample import sample
from selfimprove.stages.score_steps import model_digest, rewards_of
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest, require_same
from selfimprove.storage.shards import SHARD, JudgedShards

BATCH = 4 * SHARD
"""Trees that are searched side by side in the loop: enough to fill an engine, few enough for memory."""

Trees = dict[str, list[Branch]]
"""Branches by the id of the request that their tree grew from."""


@dataclass(frozen=True)
class Searched:
    """Result of a search."""

    traces: tuple[AnnotatedTrace, ...]
    """Finished traces in the order of the requests, at least one and at most the search's width for each, with verdicts and step rewards."""
    tokens: Mapping[str, int]
    """All tokens sampled for each problem, by its id, including those of dropped branches and tokens that ended a turn after a thought."""
    scored: int
    """Number of beginnings and traces that were scored."""


@dataclass(frozen=True)
class SearchCost:
    """Cost of the search in one generation."""

    tokens: int
    """Tokens sampled."""
    hopeless: int
    """Traces that the search gave up."""
    saved: int
    """Tokens saved: by how much the traces that were given up are shorter than the others on average."""


def search(
    context: RunContext,
    guidance: StepRewards,
    method: Search,
    checkpoint: Checkpoint,
    requests: Sequence[Request],
    problems: Sequence[Problem],
    folder: Path,
    label: str,
) -> Searched:
    """Grow a tree from each request, all at once: one call to the sampler and one to the scorer in each round.

    Raises:
        UserError: A request has a budget, which cannot hold across several requests, or the folder holds what other settings left.
    """
    if any(request.budget for request in requests):
        raise UserError("a search decodes thought by thought, so no budget can hold: remove the budget from sampling, or the search")
    require_same(folder / "search.manifest.json", {"search": digest([describe(method)]), "process reward model": model_digest(guidance)})
    ended: Trees = {request.id: [] for request in requests}
    going: Trees = {request.id: [Branch(request)] for request in requests}
    tokens: Counter[str] = Counter({request.problem_id: 0 for request in requests})
    number = scored = 0
    while going:
        grown: Trees = defaultdict(list)
        for branch in _round(context, guidance, method, checkpoint, going, number, problems, folder / f"round-{number:02d}", label):
            grown[branch.request.id].append(branch)
            assert branch.judged is not None
            tokens[branch.request.problem_id] += branch.judged.trace.output_tokens
            scored += 1
        kept = {tree: method.keep(branches, ended[tree]) for tree, branches in grown.items()}
        ended |= {tree: done for tree, (_, done) in kept.items()}
        going = {tree: left for tree, (left, _) in kept.items() if left}
        number += 1
    traces = [branch.finished(name) for branches in ended.values() for branch, name in zip(branches, _names(branches, method.width), strict=True)]
    return Searched(tuple(traces), dict(tokens), scored)


def search_samples(
    context: RunContext,
    guidance: StepRewards,
    method: Search,
    checkpoint: Checkpoint,
    requests: Sequence[Request],
    problems: Sequence[Problem],
    folder: Path,
    label: str,
) -> tuple[JudgedShards, SearchCost]:
    """One trace for each request, in the shards that `sample` would fill, and the cost of the search."""
    shards, costs = JudgedShards(folder, requests), []
    for start in range(0, len(requests), BATCH):
        batch, into = requests[start : start + BATCH], folder / "search" / f"batch-{start // BATCH:03d}"

        def make(batch: Sequence[Request] = batch, into: Path = into) -> SearchCost:
            found = search(context, guidance, method, checkpoint, batch, problems, into, label)
            shards.add(found.traces)
            return _cost(found)

        made_from = {"requests": digest(batch), "search": digest([describe(method)]), "process reward model": model_digest(guidance)}
        costs.append(keep(into / "cost.json", SearchCost, made_from, make))
    return shards, SearchCost(*(sum(getattr(cost, name) for cost in costs) for name in ("tokens", "hopeless", "saved")))


def _round(
    context: RunContext,
    guidance: StepRewards,
    method: Search,
    checkpoint: Checkpoint,
    going: Trees,
    number: int,
    problems: Sequence[Problem],
    folder: Path,
    label: str,
) -> list[Branch]:
    """Every branch grown by one round and scored; complete work is only read."""
    asked: dict[str, tuple[Branch, str]] = {}
    requests: list[Request] = []
    for branch in (branch for branches in going.values() for branch in branches):
        for path, request in method.requests(branch, number).items():
            asked[request.id] = branch, path
            requests.append(request)
    shards = sample(context, checkpoint, requests, problems, folder, f"{label}, round {number + 1}")
    grown = {item.trace.id: asked[item.trace.id][0].grown(asked[item.trace.id][1], item) for item in shards.read()}
    by_id = {problem.id: problem for problem in problems}
    thoughts = {name: (by_id[branch.request.problem_id], branch.thoughts) for name, branch in grown.items()}
    rewards = rewards_of(context, guidance, thoughts, folder / "rewards.parquet")
    return [replace(branch, rewards=rewards[name]) for name, branch in grown.items()]


def _names(branches: Sequence[Branch], width: int) -> list[str]:
    """Ids of a tree's traces: further samples of their problem; the request's own id where the width is 1."""
    lead, _, sample = branches[0].request.id.rpartition("/s")
    return [f"{lead}/s{int(sample) * width + place}" for place in range(len(branches))]


def _cost(found: Searched) -> SearchCost:
    lengths = {
        hopeless: [item.trace.output_tokens for item in found.traces if (item.trace.finish_reason == HOPELESS) == hopeless]
        for hopeless in (True, False)
    }
    given_up, others = lengths[True], lengths[False]
    saved = round(len(given_up) * sum(others) / len(others)) - sum(given_up) if others else 0
    return SearchCost(sum(found.tokens.values()), len(given_up), max(0, saved))
