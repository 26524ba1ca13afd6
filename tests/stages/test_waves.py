"""Sampling as an allocator says: the same traces in whatever order they come and wherever a run is stopped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Sums, ToySampler, make_toy_model, toy_workflow

from selfimprove import ExpectedGain, FixedK, InlineCluster, KeepMajority, Round, Sampling, UserError, improve
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.protocols import Allocator, Cluster, Load
from selfimprove.records import Checkpoint, JudgedTrace, LedgerEntry, Request, Tries
from selfimprove.reports.table import summarize
from selfimprove.sampling.sampling import requests_for
from selfimprove.stages.collect import sample_allocated
from selfimprove.stages.context import RunContext
from selfimprove.stages.sample import sample
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored

ALLOCATOR = ExpectedGain(cap=2, most=12, wave=16)


class Breaks(Exception):
    """What stops a stage in these tests."""


@dataclass(frozen=True)
class Uneven(ToySampler):
    """Never, seldom, often or always right, problem by problem, whatever the checkpoint; fails once `left` traces are written."""

    left = 10**9

    def _skill(self, checkpoint: Checkpoint, request: Request) -> float:
        Uneven.left -= 1
        if Uneven.left < 0:
            raise Breaks
        return (0.0, 0.15, 0.6, 1.0)[int(request.problem_id.removeprefix("sum-")) % 4]


class Thrifty:
    """An allocator of one's own: a second trace where the first was not accepted."""

    def allot(self, tries: Sequence[Tries], n: int) -> list[int] | None:
        return None if all(one.asked > 1 for one in tries) else [one.asked == 0 or not one.accepted for one in tries]


class TwoAtOnce:
    """A worker with two calls in flight, as an actor has; their items come in a drawn order."""

    def __init__(self, worker: Any, chance: random.Random) -> None:
        self._worker, self._chance = worker, chance

    def call(self, method: str, *arguments: object) -> Any:
        return self._worker.call(method, *arguments)

    def stream(self, method: str, calls: Iterable[tuple[object, ...] | None], load: Load | None = None) -> Iterator[list[Any]]:
        waiting, running, ended = iter(calls), [], False
        while True:
            while len(running) < 2 and not ended:
                try:
                    arguments = next(waiting)
                except StopIteration:
                    ended = True
                    break
                if arguments is None:
                    break
                running.append(self._worker.stream(method, [arguments]))
            if not running:
                if ended:
                    return
                yield []
                continue
            one = self._chance.choice(running)
            try:
                yield next(one)
            except StopIteration:
                running.remove(one)


class Shuffling(InlineCluster):
    """Opens parts in this process whose results come in another order with every seed."""

    chance = random.Random(0)

    def open(self, role: str, part: Any) -> Any:
        return TwoAtOnce(super().open(role, part), self.chance)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_model(tmp_path_factory.mktemp("models") / "model", 0.2)


@pytest.fixture(scope="module")
def shuffling() -> Iterator[Shuffling]:
    cluster = Shuffling()
    yield cluster
    cluster.close()


def context(model: Path, root: Path, cluster: Cluster, allocator: Allocator = ALLOCATOR) -> RunContext:
    sampling = Sampling(n=4, temperature=0.8, max_tokens=32)
    workflow = toy_workflow(model, sampler=Uneven(), sampling=sampling, allocator=allocator, problems=Sums(24))
    base = describe_folder(model, "base")
    return RunContext(workflow=workflow, run=RunFolder(root), cluster=cluster, base=base, problems=Sums(24).load(), eval_problems=[])


def sampled(of: RunContext) -> list[JudgedTrace]:
    return list(sample_allocated(of, of.base, of.problems, of.workflow.prompter, of.run.generation(1), 1).read())


@pytest.fixture(scope="module")
def undisturbed(model: Path, shuffling: Shuffling, tmp_path_factory: pytest.TempPathFactory) -> list[JudgedTrace]:
    return sampled(context(model, tmp_path_factory.mktemp("undisturbed"), shuffling))


def test_hard_problems_get_more_samples_than_easy_ones_within_the_budget(undisturbed: list[JudgedTrace]) -> None:
    samples = Counter(item.trace.problem_id for item in undisturbed)
    of_kind = [sum(samples[f"sum-{n}"] for n in range(kind, 24, 4)) / 6 for kind in range(4)]
    assert of_kind[1] > of_kind[3] and sum(samples.values()) <= 96 and max(samples.values()) <= 12
    assert all(item.trace.id == f"{item.trace.problem_id}/g1/s{number}" for item, number in numbered(undisturbed))


def numbered(judged: list[JudgedTrace]) -> Iterator[tuple[JudgedTrace, int]]:
    seen: Counter[str] = Counter()
    for item in judged:
        yield item, seen[item.trace.problem_id]
        seen[item.trace.problem_id] += 1


@settings(max_examples=12)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=4), stops=st.lists(st.integers(0, 96), max_size=3))
def test_wherever_it_is_stopped_and_whatever_comes_first_the_traces_are_the_same(
    model: Path, shuffling: Shuffling, undisturbed: list[JudgedTrace], seeds: list[int], stops: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        of = context(model, Path(folder), shuffling)
        for turn, left in enumerate([*stops, 10**9]):
            shuffling.chance.seed(seeds[turn % len(seeds)])
            Uneven.left = left
            try:
                found = sampled(of)
            except Breaks:
                continue
        Uneven.left = 10**9
        assert found == undisturbed
        assert list(stored(of.run.generation(1))) == undisturbed


def test_a_stage_that_is_complete_is_only_read(model: Path, shuffling: Shuffling, undisturbed: list[JudgedTrace], tmp_path: Path) -> None:
    of = context(model, tmp_path, shuffling)
    sampled(of)
    Uneven.left = 0
    try:
        assert sampled(of) == undisturbed
    finally:
        Uneven.left = 10**9


def test_fixed_k_leaves_the_same_files_as_a_list_of_requests(model: Path, shuffling: Shuffling, tmp_path: Path) -> None:
    of = context(model, tmp_path / "allotted", shuffling, FixedK())
    sampled(of)
    listed = context(model, tmp_path / "listed", shuffling)
    requests = requests_for(of.problems, of.workflow.prompter, of.workflow.sampling, "g1", of.workflow.seed)
    sample(listed, listed.base, requests, of.problems, listed.run.generation(1), "listed")
    files = [
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "allotted", tmp_path / "listed")
    ]
    assert files[0] == files[1] and len(files[0]) == 6


def test_traces_of_another_allocator_are_refused(model: Path, shuffling: Shuffling, tmp_path: Path) -> None:
    sampled(context(model, tmp_path, shuffling))
    with pytest.raises(UserError, match="was made with different allocation"):
        sampled(context(model, tmp_path, shuffling, replace(ALLOCATOR, cap=3)))


def test_a_selector_that_compares_all_traces_cannot_be_gone_by(model: Path, shuffling: Shuffling, tmp_path: Path) -> None:
    told = r"KeepMajority compares all traces of a problem, but {} .*allocator=FixedK"
    of = context(model, tmp_path, shuffling)
    for own in ({"selector": KeepMajority()}, {"rounds": (Round(selector=KeepMajority()),)}):
        with pytest.raises(ValueError, match=told.format("ExpectedGain")):
            replace(of.workflow, **own)
    with pytest.raises(UserError, match=told.format("Thrifty")):
        sampled(replace(of, workflow=replace(of.workflow, selector=KeepMajority(), allocator=Thrifty())))


def test_a_run_reports_its_uneven_samples_and_the_next_generation_knows_the_rates_of_the_last(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model, sampler=Uneven(), sampling=Sampling(n=4), allocator=ALLOCATOR), tmp_path / "run", InlineCluster)
    rows = summarize(RunFolder(tmp_path / "run"))["generations"]
    for number, row in enumerate(rows[1:], start=1):
        samples = Counter(item.trace.problem_id for item in stored(tmp_path / f"run/generation-0{number}"))
        ledger = {entry.problem_id: entry for entry in read_records(tmp_path / f"run/generation-0{number}/ledger.parquet", LedgerEntry)}
        assert all(ledger[name].samples == count for name, count in samples.items())
        assert row["most_samples"] == max(samples.values()) > row["samples_per_problem"] == sum(samples.values()) / len(samples)
        assert row["distinct_per_1000_tokens"] == pytest.approx(1000 * row["distinct"] / row["tokens"]["sample"])
    first, second = (Counter(item.trace.problem_id for item in list(stored(tmp_path / f"run/generation-0{n}"))[:16]) for n in (1, 2))
    solved = {row.problem_id for row in read_records(tmp_path / "run/generation-01/ledger.parquet", LedgerEntry) if row.set == "train" and row.right}
    # Nothing was known of any problem before the first wave of generation 1.
    assert max(first.values()) == 1 and solved >= second.keys()
