"""Score steps: the process reward model's reward for every complete thought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from selfimprove.process_reward.scoring import RewardModel, step_rewards
from selfimprove.process_reward.search import thoughts_of
from selfimprove.process_reward.step_rewards import StepRewards
from selfimprove.records import JudgedTrace, Problem, ThoughtRewards
from selfimprove.settings.paths import describe
from selfimprove.stages.annotate import Rewards
from selfimprove.stages.context import RunContext
from selfimprove.storage.files import read_records
from selfimprove.storage.hashes import require_folder_unchanged
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest

SHARD = 1024
"""Traces that are scored at once: the most that is lost when a run is stopped."""


def score_steps(
    context: RunContext, part: StepRewards, judged: Iterable[JudgedTrace], problems: Iterable[Problem], folder: Path, label: str
) -> Rewards:
    """The rewards of every complete thought of these traces, by trace id; `folder` is that of the traces."""
    by_id = {problem.id: problem for problem in problems}
    traces, rewards, number = (item.trace for item in judged), dict[str, tuple[float, ...]](), 0
    context.progress.begin(label, 0)
    while shard := list(islice(traces, SHARD)):
        asked = {trace.id: (by_id[trace.problem_id], thoughts_of(trace)) for trace in shard}
        rewards |= rewards_of(context, part, asked, folder / "rewards" / f"shard-{number:05d}.parquet")
        context.run.check_store()
        context.progress.advance(len(shard), total=len(rewards))
        number += 1
    context.progress.end()
    context.run.settle()
    return rewards


def rewards_of(context: RunContext, part: StepRewards, asked: Mapping[str, tuple[Problem, tuple[str, ...]]], file: Path) -> Rewards:
    """The rewards of these thoughts, by trace id; `file` keeps them."""

    def make() -> list[ThoughtRewards]:
        if isinstance(part.scorer, RewardModel):
            require_folder_unchanged(Path(part.scorer.checkpoint.path))
        chats = [(part.prompter.messages(problem), thoughts) for problem, thoughts in asked.values()]
        found = step_rewards(part.scorer, chats, context.cluster)
        return [ThoughtRewards(name, rewards) for name, rewards in zip(asked, found, strict=True)]

    scored = keep(file, list[ThoughtRewards], {"process reward model": model_digest(part)}, make)
    return {one.trace_id: one.rewards for one in scored}


def model_digest(part: StepRewards) -> str:
    """Digest of what rewards depend on, for manifests."""
    return digest([describe(part.scorer), describe(part.prompter)])


def read_rewards(folder: Path) -> Rewards:
    """The step rewards that a stage left in its folder; empty where nothing was scored."""
    files = sorted((folder / "rewards").glob("shard-*.parquet"))
    return {one.trace_id: one.rewards for file in files for one in read_records(file, ThoughtRewards)}
