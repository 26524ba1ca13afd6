"""Parts in Ray actors, on a real local cluster."""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from queue import SimpleQueue

import psutil
import pytest
import toy
from toy import make_toy_model, toy_workflow

from selfimprove import VLLM, ExpectedGain, FixedK, InlineCluster, RayCluster, Resources, UserError, improve
from selfimprove.errors import WorkerFailed
from selfimprove.protocols import Allocator, Confinement, Verifier, WorkerPart
from selfimprove.records import Outcome, Problem, Trace
from selfimprove.reports.table import summarize
from selfimprove.storage.run_folder import RunFolder
from selfimprove.verification.pool import VerifierPool
from selfimprove.verification.stream import stream_verdicts

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


@dataclass(frozen=True)
class Asks(WorkerPart):
    """Asks in a stream and waits for a call that answers. The first answer kills it."""

    flag: str = ""

    def open(self) -> OpenAsks:
        return OpenAsks(self.flag)


class OpenAsks:
    def __init__(self, flag: str) -> None:
        self._flag = Path(flag)
        self._answers: SimpleQueue[str] = SimpleQueue()

    def ask(self, question: str) -> Iterator[str]:
        yield question
        yield self._answers.get()

    def answer(self, word: str) -> None:
        if not self._flag.exists():
            self._flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self._answers.put(word)

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


def test_a_stream_is_answered_by_calls_and_asks_again_after_its_worker_died(cluster: RayCluster, tmp_path: Path) -> None:
    worker = cluster.open("asks", Asks(flag=str(tmp_path / "died")))
    items = []
    for item in chain.from_iterable(worker.stream("ask", [("why?",)])):
        items.append(item)
        if item == "why?":
            worker.call("answer", f"because {len(items)}")
    cluster.end(Asks(flag=str(tmp_path / "died")))
    assert items == ["why?", "why?", "because 2"]


@dataclass(frozen=True)
class Noting(Verifier):
    """Exact, slowly; leaves a file for each answer and copy, and ends its copy at the first answer 50."""

    folder: str = ""
    name = "noting"
    version = "1"
    confinement = Confinement(when="never")

    def verify(self, problem: Problem, answer: str) -> Outcome:
        copy = os.getppid()
        (Path(self.folder) / f"{answer} {copy}").touch()
        time.sleep(0.02)
        if answer == "50" and not (flag := Path(self.folder) / "died").exists():
            flag.write_text(str(copy))
            os.kill(int(Path(f"/proc/{copy}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
            time.sleep(60)
        return Outcome.CORRECT if answer == problem.answer else Outcome.WRONG


def test_copies_of_a_verifier_share_the_traces_and_the_traces_of_one_that_dies_are_verified_by_others(cluster: RayCluster, tmp_path: Path) -> None:
    pool = VerifierPool(Noting(str(tmp_path)), 30.0, resources=Resources(copies=3, cpus=0, gpus=0), processes=1)
    problems = [Problem(f"p{n}", "", str(n), "test") for n in range(120)]
    traces = [Trace(f"t{n}", f"p{n}", "c", (), (), f"<think>a</think>{n}", (), "stop", 0.0, 0) for n in range(120)]
    batches = (traces[begin : begin + 10] for begin in range(0, 120, 10))
    judged = [item for several in stream_verdicts(pool, problems, batches, cluster) for item in several]
    cluster.end(pool)
    assert sorted(item.trace.id for item in judged) == sorted(trace.id for trace in traces)
    assert all(item.verdict.trace_id == item.trace.id and item.verdict.outcome is Outcome.CORRECT for item in judged)
    dead = (tmp_path / "died").read_text()
    seen = [path.name.split() for path in tmp_path.iterdir() if path.name != "died"]
    living = Counter(answer for answer, copy in seen if copy != dead)
    assert set(living.values()) == {1}, "no trace was verified twice, but for those of the dead copy"
    # The dead copy had four calls of ten traces, and finishes them in any order.
    assert len(living) >= 80 and living.keys() | {answer for answer, copy in seen if copy == dead} == {str(n) for n in range(120)}
    shares = Counter(copy for _, copy in seen if copy != dead)
    assert len([count for count in shares.values() if count >= 20]) >= 2, shares


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
    with pytest.raises(UserError, match=r"with the giant this run reserves 4000(\.\d)? CPU, but the cluster has"):
        cluster.open("giant", Echo(Resources(cpus=4000)))


@pytest.mark.parametrize("part", [VLLM(engine={"tensor_parallel_size": 4}, resources=Resources(copies=2)), VLLM(engine={"tensor_parallel_size": 8})])
def test_a_part_on_several_gpus_reserves_all_of_them(cluster: RayCluster, part: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfimprove.cluster.ray_cluster.gpus_of_nodes", lambda: (7.0,))
    with RayCluster() as empty, pytest.raises(UserError, match=r"the many needs (2 x 4|8) GPUs, but the cluster has 7"):
        empty.open("many", part)


def test_the_output_of_a_part_is_in_the_log_folder(cluster: RayCluster) -> None:
    cluster.open("echo", Echo()).call("pid")
    assert cluster._log_folder is not None
    assert "opened" in (cluster._log_folder / "echo.log").read_text()


ADDRESS = "http://user:Zq7/secret@host/v1?key=Zq7"


@dataclass(frozen=True)
class Talkative(WorkerPart):
    """Prints a secret in every way."""

    def open(self) -> Talkative:
        return self

    def talk(self) -> None:
        print(f"printed {ADDRESS}")
        print(f"failed {ADDRESS}", file=sys.stderr)
        os.write(1, f"native {ADDRESS}\n".encode())

    def close(self) -> None: ...


def test_an_actors_log_is_redacted(cluster: RayCluster, tmp_path: Path) -> None:
    with RayCluster(tmp_path) as joined:
        joined.open("talker", Talkative()).call("talk")
    text = (tmp_path / "talker.log").read_text()
    assert "Zq7" not in text
    for word in ("printed", "failed", "native"):
        assert f"{word} http://host/v1?key=***" in text


def test_a_cluster_that_a_run_starts_listens_on_loopback_only(cluster: RayCluster) -> None:
    with RayCluster() as joined:
        joined.open("listener", Echo()).call("pid")
        ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
        listening = [
            (process.name(), address.laddr) for process in ours for address in process.net_connections("inet") if address.status == psutil.CONN_LISTEN
        ]
    assert {"gcs_server", "raylet"} <= {name for name, _ in listening}
    assert [place for place in listening if not loopback(place[1].ip)] == []


def loopback(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


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
