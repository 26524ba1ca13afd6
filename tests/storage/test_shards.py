"""Shards of traces and verdicts: any order, repeats, and what is missing after a stop."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from selfimprove import PlainQuestion, Sampling
from selfimprove.records import JudgedTrace, Outcome, Problem, Request, Trace, Verdict
from selfimprove.sampling.sampling import requests_for
from selfimprove.storage.shards import JudgedShards, stored
from selfimprove.storage.unfinished import Unfinished


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfimprove.storage.shards.SHARD", 4)


PROBLEMS = [Problem(f"p{n}", f"{n}?", str(n), "test") for n in range(5)]
REQUESTS = requests_for(PROBLEMS, PlainQuestion(), Sampling(n=2), "g1")


def judged(request: Request, text: str = "x") -> JudgedTrace:
    trace = Trace(request.id, request.problem_id, "base", (1,), (2, 3), text, ((0, 1),), "stop", request.temperature, request.seed)
    return JudgedTrace(trace, Verdict(request.id, Outcome.WRONG, None, "test", "1", 0.0))


def one_by_one(requests: Sequence[Request]) -> Iterator[list[JudgedTrace]]:
    return ([judged(request)] for request in requests)


@pytest.mark.parametrize("seed", range(5))
def test_traces_come_in_any_order_and_are_read_in_that_of_the_requests(tmp_path: Path, seed: int) -> None:
    shards = JudgedShards(tmp_path, REQUESTS)
    for batch in one_by_one(random.Random(seed).sample(REQUESTS, len(REQUESTS))):
        shards.add(batch)
    assert shards.missing() == []
    assert list(shards.read()) == [judged(request) for request in REQUESTS]
    # Ten requests in shards of four.
    assert [len(list((tmp_path / name).glob("shard-*.parquet"))) for name in ("traces", "verdicts")] == [3, 3]


def test_a_trace_that_comes_twice_counts_once(tmp_path: Path) -> None:
    shards = JudgedShards(tmp_path, REQUESTS)
    shards.add([judged(request) for request in REQUESTS[:3]] * 3)
    assert shards.missing() == REQUESTS[3:]
    shards.add([judged(request) for request in REQUESTS])
    shards.add([judged(REQUESTS[0], "late")])
    assert [item.trace.text for item in shards.read()] == ["x"] * len(REQUESTS)


def test_after_a_stop_only_the_shards_that_are_not_complete_are_missing(tmp_path: Path) -> None:
    JudgedShards(tmp_path, REQUESTS).add([judged(request) for request in [*REQUESTS[:4], *REQUESTS[5:10]]])
    continued = JudgedShards(tmp_path, REQUESTS)
    assert continued.missing() == REQUESTS[4:8]
    continued.add([judged(request) for request in REQUESTS[4:8]])
    assert [item.trace.id for item in continued.read()] == [request.id for request in REQUESTS]


def test_a_shard_whose_verdicts_are_not_there_is_made_again(tmp_path: Path) -> None:
    JudgedShards(tmp_path, REQUESTS).add([judged(request) for request in REQUESTS])
    (tmp_path / "verdicts" / "shard-00001.parquet").unlink()
    continued = JudgedShards(tmp_path, REQUESTS)
    assert continued.missing() == REQUESTS[4:8]
    continued.add([judged(request, "again") for request in REQUESTS[4:8]])
    assert [item.trace.text for item in continued.read()] == ["x"] * 4 + ["again"] * 4 + ["x"] * 2


def test_no_requests_are_no_shards(tmp_path: Path) -> None:
    shards = JudgedShards(tmp_path, [])
    assert shards.missing() == [] and list(shards.read()) == []


def test_a_trace_that_nobody_asked_for_is_an_error(tmp_path: Path) -> None:
    shards = JudgedShards(tmp_path, REQUESTS)
    shards.add([judged(request) for request in REQUESTS[:4]])
    with pytest.raises(KeyError, match="p9/g1/s0"):
        shards.add([JudgedTrace(replace(judged(REQUESTS[0]).trace, id="p9/g1/s0"), judged(REQUESTS[0]).verdict)])


def test_ids_are_held_only_of_shards_that_are_being_filled(tmp_path: Path) -> None:
    shards = JudgedShards(tmp_path, REQUESTS)
    shards.add([judged(request) for request in REQUESTS[:6]])
    assert set(shards._shard_of) == {request.id for request in REQUESTS[4:8]}
    shards.add([judged(request) for request in REQUESTS[6:]])
    assert not shards._shard_of


@pytest.mark.parametrize("count", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_stopped_stage_keeps_what_it_has_verified(tmp_path: Path, count: int, seed: int) -> None:
    arrived = random.Random(seed).sample(REQUESTS, count)
    stopped = JudgedShards(tmp_path, REQUESTS)
    stopped.add([judged(request) for request in arrived])
    stopped.keep()
    assert sorted(item.trace.id for item in stored(tmp_path)) == sorted(request.id for request in arrived), "a stage at work can be read"
    continued = JudgedShards(tmp_path, REQUESTS)
    missing = [request for request in REQUESTS if request not in arrived]
    assert continued.missing() == missing
    for batch in one_by_one(missing):
        continued.add(batch)
    assert continued.missing() == [] and [item.trace.id for item in continued.read()] == [request.id for request in REQUESTS]
    assert not (tmp_path / "unfinished").exists()


def test_traces_are_kept_from_time_to_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = JudgedShards(tmp_path, REQUESTS)
    shards.add([judged(REQUESTS[0])])
    assert not (tmp_path / "unfinished").exists()
    monkeypatch.setattr("selfimprove.storage.unfinished.SECONDS", 0.0)
    shards.add([judged(REQUESTS[1])])
    assert JudgedShards(tmp_path, REQUESTS).missing() == REQUESTS[2:]


def test_a_trace_that_was_kept_and_whose_shard_was_written_counts_once(tmp_path: Path) -> None:
    shards = JudgedShards(tmp_path, REQUESTS)
    shards.add([judged(request) for request in REQUESTS[:3]])
    shards.keep()
    kept = shutil.copytree(tmp_path / "unfinished", tmp_path / "copy")
    shards.add([judged(REQUESTS[3])])
    assert not (tmp_path / "unfinished").exists()
    # As after a crash between the two.
    kept.rename(tmp_path / "unfinished")
    assert [item.trace.id for item in stored(tmp_path)] == [request.id for request in REQUESTS[:4]]
    assert JudgedShards(tmp_path, REQUESTS).missing() == REQUESTS[4:]


def test_what_was_kept_and_cannot_be_read_is_sampled_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shards = JudgedShards(tmp_path, REQUESTS)
    shards.add([judged(REQUESTS[0])])
    shards.keep()
    file = tmp_path / "unfinished" / "traces.parquet"
    file.chmod(0o644)
    file.write_bytes(b"x")
    assert JudgedShards(tmp_path, REQUESTS).missing() == REQUESTS and "its traces are sampled again" in caplog.text


def test_later_shards_take_up_what_was_kept(tmp_path: Path) -> None:
    for attempt in range(2):
        shards = JudgedShards(tmp_path, REQUESTS[:4])
        later = shards.extend(REQUESTS[4:])
        assert shards.missing(later) == REQUESTS[4 + attempt :]
        shards.add([judged(REQUESTS[4])])
        shards.keep()


def test_traces_that_are_being_replaced_are_read_once_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Unfinished(tmp_path).write([judged(REQUESTS[0])])
    files = {name: (tmp_path / "unfinished" / name).read_bytes() for name in ("verdicts.parquet", "traces.parquet")}
    shutil.copytree(tmp_path / "unfinished", tmp_path / "new/unfinished")
    Unfinished(tmp_path / "new").write([judged(REQUESTS[0]), judged(REQUESTS[1])])
    # The hashes are written first.
    for name in files:
        (tmp_path / "new/unfinished" / name).chmod(0o644)
        (tmp_path / "new/unfinished" / name).write_bytes(files[name])

    def moments_later(seconds: float) -> None:
        (tmp_path / "new/unfinished").joinpath("traces.parquet").unlink()
        Unfinished(tmp_path / "new").write([judged(REQUESTS[0]), judged(REQUESTS[1])])

    monkeypatch.setattr("selfimprove.storage.unfinished.time.sleep", moments_later)
    assert [item.trace.id for item in Unfinished(tmp_path / "new").read()] == [REQUESTS[0].id, REQUESTS[1].id]
