"""Parts in Ray actors, on a real local cluster."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest
import toy
from toy import make_toy_model, toy_workflow

from selfimprove import VLLM, ExpectedGain, FixedK, InlineCluster, RayCluster, Resources, UserError, improve
from selfimprove.errors import WorkerFailed
from selfimprove.protocols import Allocator, WorkerPart
from selfimprove.reports.table import summarize
from selfimprove.storage.run_folder import RunFolder

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    with RayCluster(tmp_path_factory.mktemp("logs"), ship=[toy, sys.modules[__name__]], deadline=60.0) as opened:
        yield opened


DEFAULT = Resources()


@dataclass(frozen=True)
class Echo(WorkerPart):
    """Answers calls; dies or freezes on request."""

    resources: Resources = DEFAULT
    flag: str = ""

    def open(self) -> Echo:
        print("opened")
        return self

    def pid(self) -> int:
        return os.getpid()

    def threads(self) -> str:
        return os.environ["OMP_NUM_THREADS"]

    def spell(self, word: str) -> Iterator[str]:
        yield from word

    def die_once(self, words: Sequence[str]) -> Iterator[str]:
        yield words[0]
        if not Path(self.flag).exists():
            Path(self.flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield from words[1:]

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def freeze_once(self) -> str:
        if not Path(self.flag).exists():
            Path(self.flag).touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return "thawed"

    def refuse(self) -> None:
        raise UserError("not like this")

    def sleep(self) -> None:
        import time

        time.sleep(60)

    def close(self) -> None: ...


def test_a_part_that_ended_frees_its_resources_and_can_start_again(cluster: RayCluster) -> None:
    total = float(os.cpu_count() or 1)
    big, other = Echo(Resources(cpus=0.6 * total)), Echo(Resources(cpus=0.6 * total), flag="other")
    first = cluster.open("big", big).call("pid")
    with pytest.raises(UserError, match="with the other this run reserves"):
        cluster.open("other", other)
    cluster.end(big)
    second = cluster.open("other", other).call("pid")
    cluster.end(other)
    third = cluster.open("big", big).call("pid")
    cluster.end(big)
    cluster.end(big)
    assert len({first, second, third}) == 3


def test_a_part_is_opened_once_and_stays_warm(cluster: RayCluster) -> None:
    assert cluster.open("echo", Echo()).call("pid") == cluster.open("echo", Echo()).call("pid") != os.getpid()


def test_a_worker_may_use_every_core_whatever_it_reserves(cluster: RayCluster) -> None:
    assert cluster.open("echo", Echo()).call("threads") == str(len(os.sched_getaffinity(0)))


def test_streams_of_several_copies_lose_nothing(cluster: RayCluster) -> None:
    worker = cluster.open("copies", Echo(Resources(copies=2, cpus=0.1)))
    words = ["alpha", "beta", "gamma", "delta", "epsilon"]
    assert sorted(chain.from_iterable(worker.stream("spell", [(word,) for word in words]))) == sorted("".join(words))


def begun_two_seconds_ago(*calls: tuple[object]) -> Iterator[tuple[object]]:
    """Yield the calls, then wait two seconds, so that their first results arrive before the stream is known to be complete."""
    yield from calls
    time.sleep(2.0)


def test_items_that_arrived_meanwhile_are_yielded_together(cluster: RayCluster) -> None:
    stream = cluster.open("copies", Echo(Resources(copies=2, cpus=0.1))).stream("spell", begun_two_seconds_ago(("alpha",), ("omega",)))
    together = next(stream)
    assert sorted(together) == ["a", "o"]
    assert sorted(chain(together, *stream)) == sorted("alphaomega")


def test_items_that_arrived_before_a_failure_are_not_lost(cluster: RayCluster) -> None:
    stream = cluster.open("copies", Echo(Resources(copies=2, cpus=0.1))).stream("spell", begun_two_seconds_ago((None,), ("alpha",)))
    assert next(stream) == ["a"]
    with pytest.raises(TypeError, match="NoneType"):
        next(stream)


def test_a_call_that_needs_items_of_others_starts_once_they_are_there(cluster: RayCluster) -> None:
    heard: list[str] = []

    def calls() -> Iterator[tuple[str] | None]:
        yield ("ab",)
        yield ("cd",)
        while not set("ab") <= set(heard):
            yield None
        yield ("ef",)

    for letters in cluster.open("echo", Echo()).stream("spell", calls()):
        heard += letters
    assert sorted(heard) == list("abcdef")


def test_a_call_whose_worker_died_is_run_again(cluster: RayCluster, tmp_path: Path) -> None:
    worker = cluster.open("mortal", Echo(Resources(cpus=0), flag=str(tmp_path / "died")))
    assert set(chain.from_iterable(worker.stream("die_once", [(["a", "b", "c"],), (["d", "e"],)]))) == set("abcde")
    assert (tmp_path / "died").exists()


def test_a_worker_that_always_dies_is_named_and_given_up(cluster: RayCluster) -> None:
    with pytest.raises(WorkerFailed, match="the doomed died 3 times in die"):
        cluster.open("doomed", Echo(Resources(cpus=0), flag="doomed")).call("die")


def test_a_user_error_is_raised_unchanged(cluster: RayCluster) -> None:
    with pytest.raises(UserError, match="not like this"):
        cluster.open("echo", Echo()).call("refuse")


def test_a_silent_worker_is_named_at_the_deadline(tmp_path: Path, cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = cluster.open("idler", Echo(Resources(cpus=0), flag="idler"))
    worker.call("pid")
    monkeypatch.setattr(worker, "_deadline", 0.5)
    with pytest.raises(WorkerFailed, match=r"the idler gave no sign of life for 0 s in sleep: process \d+ began sleep \d s ago"):
        worker.call("sleep")


def test_a_frozen_worker_is_ended_and_its_call_run_again(tmp_path: Path, cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfimprove.cluster.ray_worker.BEAT_SECONDS", 0.5)
    worker = cluster.open("frozen", Echo(Resources(cpus=0), flag=str(tmp_path / "froze")))
    pid = worker.call("pid")
    monkeypatch.setattr(worker, "_deadline", 30.0)
    assert worker.call("freeze_once") == "thawed"
    assert worker.call("pid") != pid


def test_resources_that_the_cluster_lacks_are_refused_at_once(cluster: RayCluster) -> None:
    with pytest.raises(UserError, match=r"with the giant this run reserves 4000\.\d CPU, but the cluster has"):
        cluster.open("giant", Echo(Resources(cpus=4000)))


@pytest.mark.parametrize("part", [VLLM(engine={"tensor_parallel_size": 4}, resources=Resources(copies=2)), VLLM(engine={"tensor_parallel_size": 8})])
def test_a_part_on_several_gpus_reserves_all_of_them(cluster: RayCluster, part: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 64.0, "GPU": 7.0})
    with RayCluster() as empty, pytest.raises(UserError, match="reserves 8 GPU, but the cluster has 7"):
        empty.open("many", part)


def test_the_output_of_a_part_is_in_the_log_folder(cluster: RayCluster) -> None:
    cluster.open("echo", Echo()).call("pid")
    assert cluster._log_folder is not None
    assert "opened" in (cluster._log_folder / "echo.log").read_text()


@pytest.mark.parametrize("allocator", [FixedK(), ExpectedGain(wave=8)], ids=["at once", "in waves"])
def test_a_whole_run_in_actors_ends_as_in_one_process(cluster: RayCluster, tmp_path: Path, allocator: Allocator) -> None:
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.2), generations=1, allocator=allocator)
    improve(workflow, tmp_path / "inline", InlineCluster)
    with RayCluster(ship=[toy]) as joined:
        improve(workflow, tmp_path / "actors", lambda: joined)
    inline, actors = (summarize(RunFolder(tmp_path / name))["generations"] for name in ("inline", "actors"))
    for row in (*inline, *actors):
        row.pop("seconds")
        row["checkpoint"] = Path(row["checkpoint"]).name
    assert inline == actors
