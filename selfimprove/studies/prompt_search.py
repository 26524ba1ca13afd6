"""Several ways of asking the same problems: examined side by side in one batch, and searched for the best by successive halving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.errors import UserError
from selfimprove.evaluation.paired import compare
from selfimprove.evaluation.scores import score
from selfimprove.problems.sets import load_sets
from selfimprove.prompting.chat import Bare, Exemplar
from selfimprove.prompting.trigger_search import better_half, distinct_triggers, induction, schedule
from selfimprove.protocols import Cluster, Progress, Prompter, Sampler
from selfimprove.records import Checkpoint, JudgedTrace, Problem, Score, Trace
from selfimprove.sampling.sampling import Decoding
from selfimprove.settings.paths import describe
from selfimprove.stages.context import Campaign
from selfimprove.stages.sample import ask, sample, sample_and_verify
from selfimprove.storage.files import plain, read_records, write_records
from selfimprove.storage.manifest import digest, require_same
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import Silence
from selfimprove.tracking.no_tracker import Silent
from selfimprove.workflow.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Standing:
    """How one way of asking did."""

    score: Score
    cut: float
    """Share of traces that the token limit ended."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a search."""

    problems: int
    """On how many problems each candidate is scored, those of earlier rounds included."""
    standings: Mapping[str, Standing]
    kept: tuple[str, ...]
    """Who goes on; in the last round, the winner alone."""


@contextmanager
def open_campaign(workflow: Workflow, folder: Path, start_cluster: Callable[[], Cluster], progress: Progress | None = None) -> Iterator[Campaign]:
    """The workflow's problems, exam and base model, with a cluster to sample on; what is made is kept in `folder` and never made again.

    Raises:
        UserError: the folder holds something else, or the problems cannot be used.
    """
    problems, held_out = load_sets(workflow.problems, workflow.held_out, workflow.seed)
    base, run = describe_folder(resolve_model(workflow.base_model), "base"), RunFolder(folder)
    run.claim(describe(workflow))
    run.save_problems("train", problems)
    run.save_problems("held_out", held_out)
    with closing(start_cluster()) as cluster:
        yield Campaign(workflow, run, cluster, Silent(), progress or Silence(), base, problems, held_out, None)


def examine_prompters(campaign: Campaign, prompters: Mapping[str, Prompter], problems: Sequence[Problem], name: str) -> dict[str, Standing]:
    """Every way of asking on the same problems, decoded as the workflow's exam, all requests to the base model in one batch.

    What was sampled is kept in the run's folder `name`.
    """
    judged = _judged(campaign, prompters, problems, name)
    return {way: _standing(campaign, traces) for way, traces in judged.items()}


def search_prompters(campaign: Campaign, candidates: Mapping[str, Prompter], development: Sequence[Problem]) -> tuple[str, list[Round]]:
    """The winner of successive halving over any ways of asking, and the rounds: each scores those left on twice the problems and keeps half.

    A round that is on disk is only read. The winner's rate here is the best of many, and so too high: the exam says what it is worth.

    Raises:
        UserError: there is no candidate, too few problems for so many, or one of them is in the exam.
    """
    shared = {problem.id for problem in development} & {problem.id for problem in campaign.held_out}
    if shared or not candidates:
        raise UserError(f"problem {min(shared)} is in the exam; search on others" if shared else "there is nothing to search: give candidates")
    rounds, left, asked = list[Round](), list(candidates), 0
    judged: dict[str, list[JudgedTrace]] = {name: [] for name in candidates}
    for number, (_, upto) in enumerate(schedule(len(candidates), len(development)), start=1):
        new = _judged(campaign, {name: candidates[name] for name in left}, development[asked:upto], f"round {number}")
        for name, traces in new.items():
            judged[name] += traces
        standings = {name: _standing(campaign, judged[name]) for name in left}
        left, asked = better_half({name: standing.score.pass_at_1 for name, standing in standings.items()}), upto
        rounds.append(Round(upto, standings, tuple(left)))
    return left[0], rounds


def propose_triggers(
    campaign: Campaign,
    exemplars: Sequence[Exemplar],
    decoding: Decoding,
    known: Sequence[str] = (),
    model: Checkpoint | None = None,
    sampler: Sampler | None = None,
) -> tuple[list[str], dict[str, int]]:
    """Triggers that a model proposes from worked examples, and how many of its proposals were left out for which reason.

    Args:
        decoding: how many proposals, how varied and how long.
        known: triggers that are candidates already.
        model: who proposes; None for the base model.
        sampler: whose engine the proposing model runs on; another model than the base needs one of its own.
    """
    model, sampler, folder = model or campaign.base, sampler or campaign.workflow.sampler, campaign.run.root / "proposals"
    requests = ask([induction(exemplars)], Bare("You are a helpful assistant."), decoding, "proposal", campaign.workflow.seed)
    require_same(folder / "proposals.manifest.json", {"requests": digest(requests), "weights": model.weights_hash})
    file = folder / "proposals.parquet"
    if not file.exists():
        campaign.progress.begin("proposals", len(requests))
        proposals = []
        for batch in sample(sampler, model, requests, campaign.cluster):
            campaign.progress.advance(len(batch), tokens=sum(trace.output_tokens for trace in batch))
            proposals += batch
        campaign.progress.end()
        order = {request.id: place for place, request in enumerate(requests)}
        write_records(file, sorted(proposals, key=lambda trace: order[trace.id]), Trace)
    return distinct_triggers(read_records(file, Trace), known)


def rows(standings: Mapping[str, Standing], against: str | None = None) -> list[dict[str, Any]]:
    """The standings as JSON data, each with its paired comparison where the name to compare with is given.

    Returns:
        `[{"name", "problems", "accuracy", "interval": 95 %, "tokens": of a trace, "unparseable", "cut": shares of the traces, "comparison": the
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


def _judged(campaign: Campaign, prompters: Mapping[str, Prompter], problems: Sequence[Problem], name: str) -> dict[str, list[JudgedTrace]]:
    workflow = campaign.workflow
    ways = {way: ask(problems, prompter, workflow.exam, way, workflow.seed, workflow.delimiters) for way, prompter in prompters.items()}
    requests = [request for way in ways.values() for request in way]
    shards = sample_and_verify(campaign, campaign.base, requests, problems, campaign.run.root / name.replace(" ", "-"), name)
    by_id = {item.trace.id: item for item in shards.read()}
    return {way: [by_id[request.id] for request in asked] for way, asked in ways.items()}


def _standing(campaign: Campaign, judged: Sequence[JudgedTrace]) -> Standing:
    finished = Counter(item.trace.finish_reason for item in judged)
    return Standing(score(campaign.base.id, judged), finished["length"] / len(judged))
