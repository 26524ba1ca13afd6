"""The stage that scores the thoughts of sampled traces, on disk: it is taken up where it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from selfimprove.process_reward.scoring import step_rewards
from selfimprove.process_reward.search import thoughts_of
from selfimprove.process_reward.step_rewards import StepRewards
from selfimprove.records import JudgedTrace, Problem, ThoughtRewards
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.storage.files import read_records, write_records
from selfimprove.storage.manifest import digest, require_same

SHARD = 1024
"""Traces that are scored in one go: what is lost at most when a run is stopped."""

Rewards = dict[str, tuple[float, ...]]
"""The step rewards of each trace, by its id."""


def reward(
    context: RunContext, guidance: StepRewards, judged: Iterable[JudgedTrace], problems: Iterable[Problem], folder: Path, label: str
) -> Rewards:
    """The rewards of every complete thought of these traces; `folder` is that of the traces."""
    require_same(folder / "rewards" / "manifest.json", {"process reward model": made_from(guidance)})
    by_id = {problem.id: problem for problem in problems}
    traces, rewards, number = (item.trace for item in judged), Rewards(), 0
    context.progress.begin(label, 0)
    while shard := list(islice(traces, SHARD)):
        asked = {trace.id: (by_id[trace.problem_id], thoughts_of(trace)) for trace in shard}
        rewards |= rewards_of(context, guidance, asked, folder / "rewards" / f"shard-{number:05d}.parquet")
        context.progress.advance(len(shard), total=len(rewards))
        number += 1
    context.progress.end()
    return rewards


def made_from(guidance: StepRewards) -> str:
    """What rewards depend on, for manifests."""
    return digest([describe(guidance.scorer), describe(guidance.prompter)])


def rewards_of(context: RunContext, guidance: StepRewards, asked: Mapping[str, tuple[Problem, tuple[str, ...]]], file: Path) -> Rewards:
    """The rewards of these thoughts, by id; those that the file holds are only read."""
    if not file.exists():
        chats = [(guidance.prompter.messages(problem), thoughts) for problem, thoughts in asked.values()]
        found = step_rewards(guidance.scorer, chats, context.cluster)
        write_records(file, [ThoughtRewards(name, rewards) for name, rewards in zip(asked, found, strict=True)], ThoughtRewards)
    return {one.trace_id: one.rewards for one in read_records(file, ThoughtRewards)}


def read_rewards(folder: Path) -> Rewards:
    """The step rewards of a stage; none where nothing was scored."""
    files = sorted((folder / "rewards").glob("shard-*.parquet"))
    return {one.trace_id: one.rewards for file in files for one in read_records(file, ThoughtRewards)}


def rewarded(judged: Iterable[JudgedTrace], rewards: Rewards) -> Iterator[JudgedTrace]:
    """Each trace with its step rewards."""
    return (replace(item, rewards=rewards.get(item.trace.id, ())) for item in judged)
