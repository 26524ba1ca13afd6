"""kill -9 of every kind of process, at seeded moments: the same command then ends as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

import killable
import psutil
import pytest
import toy
from killable import WORKFLOW, NotingSampler, drive, files_of, reports
from places import PYTHONPATH
from processes import Started, watching
from toy import Sums, ToyTrainer, make_toy_model, toy_workflow
from untracked import leave_out_mlflow

from selfimprove import InlineCluster, RayCluster, improve
from selfimprove.__main__ import main
from selfimprove.cluster.ray_worker import RayWorker
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import NoProgress

SAMPLER_KILLS, VERIFIER_KILLS, TRAINER_KILLS = 3, 1, 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_model(tmp_path_factory.mktemp("models") / "model", 0.2)


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed run of the command line; do not write into it."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        leave_out_mlflow(patch)
        assert main(command(folder, model, "whole", "--inline")[3:]) == 0
    return folder / "whole"


@pytest.fixture(scope="module")
def warm_starts() -> Iterator[ForkServerContext]:
    """Starts processes that have already imported what a run imports, which saves seconds for each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killable", "selfimprove.__main__", "mlflow.tracking", "pyarrow.parquet", "rich.progress"])
    forkserver.ensure_running()
    yield context
    # There is no public way to end it before this process ends.
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


@pytest.fixture
def started() -> Iterator[Started]:
    with watching() as found:
        yield found


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": PYTHONPATH, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}", **more}


def command(tmp_path: Path, model: Path, name: str, *more: str, problems: int = 335) -> list[str]:
    file = tmp_path / f"{name}.py"
    file.write_text(WORKFLOW.format(model=str(model), log=str(tmp_path / f"{name}.log")).replace("size=335", f"size={problems}"))
    return [sys.executable, "-m", "selfimprove", "run", str(file), "--run-dir", str(tmp_path / name), *more]


def finish(line: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def count_files(root: Path) -> int:
    """The number of files; quick, since a test that counts all the time slows down the run that it watches."""
    return sum(not name.startswith(".") for _, _, names in os.walk(root) for name in names)


def sampled(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def written(root: Path) -> set[str]:
    """Ids of the traces in complete shards."""
    from pyarrow import parquet

    shards = root.glob("**/verdicts/shard-*.parquet")
    return {name for shard in shards for name in parquet.read_table(shard, columns=["trace_id"]).column("trace_id").to_pylist()}


@pytest.mark.slow
@pytest.mark.parametrize("times", [3, pytest.param(8, marks=pytest.mark.long)])
def test_a_driver_killed_at_any_moment_continues_where_it_was(
    times: int, model: Path, whole: Path, tmp_path: Path, warm_starts: ForkServerContext, started: Started
) -> None:
    total, chance = count_files(whole), random.Random(20)
    line, log, root = command(tmp_path, model, "killed", "--inline"), tmp_path / "killed.log", tmp_path / "killed"
    kills = []
    # The last files are written together: after them there is nothing left to kill.
    for wanted in sorted(chance.sample(range(3, total - 6), times)):
        kept, before = written(root), len(sampled(log))
        process = warm_starts.Process(target=drive, args=(line[3:], environment(tmp_path)))
        process.start()
        while count_files(root) < wanted and process.is_alive():
            time.sleep(0.005)
        time.sleep(chance.random() * 0.05)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run was over before it was killed"
        kills.append(count_files(root))
        assert not kept & set(sampled(log)[before:]), "traces of a complete shard were sampled again"
    assert kills[-1] < total and len(set(kills)) > times / 2
    kept, before = written(root), len(sampled(log))
    finish(line, environment(tmp_path))
    assert not kept & set(sampled(log)[before:])
    assert files_of(root) == files_of(whole)
    assert reports(root) == reports(whole)
    assert_logged_once(tmp_path, root)
    assert started.left_after(20) == set()


def assert_logged_once(tmp_path: Path, root: Path, uri: str | None = None) -> None:
    """MLflow has one point per generation, on one parent run that is finished."""
    from mlflow import MlflowClient

    client = MlflowClient(uri or f"sqlite:///{tmp_path / 'mlflow.db'}")
    parents = [
        run
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id])
        if run.data.tags.get("folder") == str(root)
    ]
    assert [run.info.status for run in parents] == ["FINISHED"]
    points = client.get_metric_history(parents[0].info.run_id, "champion/pass_at_1")
    assert sorted(point.step for point in points) == [0, 1, 2, 3]


class Killing(NoProgress):
    """Kills a worker of the given role when the number of results reaches a key of `kills`."""

    def __init__(self, kills: dict[int, str]) -> None:
        self.cluster: RayCluster | None = None
        self.kills, self.due, self.killed = kills, list[str](), list[str]()
        self.stage, self.stages = "", list[str]()

    def begin(self, stage: str, total: int) -> None:
        self.stage = stage

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
        before = len(self.stages)
        # Results come singly or several at once, as the machine's load has it.
        self.stages += [self.stage] * items
        self.due += [role for moment, role in sorted(self.kills.items()) if before < moment <= len(self.stages)]
        for role in self.due[:1]:
            assert self.cluster is not None
            worker = self.cluster.opened(role)
            if worker and (process := process_of(worker)):
                os.kill(process, signal.SIGKILL)
                self.killed.append(self.due.pop(0))


def process_of(worker: RayWorker) -> int | None:
    """The worker's process; None if it was killed and the run has not noticed yet."""
    import ray

    try:
        found = re.match(r"process (\d+) ", ray.get(worker._actors[0].heartbeat.remote()))
    except ray.exceptions.RayActorError:
        return None
    assert found
    return int(found[1])


@pytest.mark.ray
def test_workers_killed_at_any_moment_are_replaced_and_nothing_changes(
    model: Path, tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    def workflow(name: str):  # type: ignore[no-untyped-def]
        sampler = NotingSampler(log=str(tmp_path / f"{name}.log"))
        return toy_workflow(model, problems=Sums(size=90), sampler=sampler, trainer=ToyTrainer(gain=0.004), generations=2)

    watched = Killing({})
    improve(workflow("whole"), tmp_path / "whole", InlineCluster, progress=watched)
    chance = random.Random(21)
    sampling, training = ([number for number, stage in enumerate(watched.stages, start=1) if word in stage] for word in ("sampling", "training"))
    moments = [*chance.sample(sampling, SAMPLER_KILLS + VERIFIER_KILLS), *chance.sample(training, TRAINER_KILLS)]
    roles = ["sampler"] * SAMPLER_KILLS + ["verifier"] * VERIFIER_KILLS + ["trainer"] * TRAINER_KILLS
    killing = Killing(dict(zip(moments, roles, strict=True)))
    monkeypatch.setenv("PAUSE", "0.002")
    with RayCluster(ship=[toy, killable]) as cluster:
        killing.cluster = cluster
        improve(workflow("killed"), tmp_path / "killed", lambda: cluster, progress=killing)
    assert sorted(killing.killed) == sorted(roles)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    assert reports(tmp_path / "killed") == reports(tmp_path / "whole")
    assert started.left_after(20) == set()


@pytest.mark.ray
@pytest.mark.parametrize(("vital", "files"), [("gcs_server", 25), pytest.param("raylet", 70, marks=pytest.mark.long)])
def test_a_run_whose_cluster_lost_a_vital_process_ends_with_one_line_and_the_next_one_continues(
    vital: str, files: int, model: Path, whole: Path, tmp_path: Path, started: Started
) -> None:
    line, root = command(tmp_path, model, "struck"), tmp_path / "struck"
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(line, env=environment(tmp_path, PAUSE="0.01"), stdout=subprocess.DEVNULL, stderr=errors)
        while count_files(root) < files:
            assert process.poll() is None, "the run ended by itself"
            time.sleep(0.05)
        vitals = [child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == vital]
        assert len(vitals) == 1
        vitals[0].kill()
        assert process.wait(60) == 2
    told = (tmp_path / "errors").read_text()
    assert told.startswith(f"selfimprove: the local Ray cluster is lost: its {vital} was killed by SIGKILL") and told.count("\n") == 1, told
    assert eventually(lambda: {name_of(pid) for pid in started.alive()} <= WAITING, 30), started.left_after(0)
    # Without Ray's processes, whose start shows nothing here. Meanwhile the agents end.
    finish([*line, "--inline"], environment(tmp_path))
    assert files_of(root) == files_of(whole)
    assert reports(root) == reports(whole)
    assert_logged_once(tmp_path, root)
    assert started.left_after(90) == set()


WAITING = {"ray::RuntimeEnvAgent", "ray::DashboardAgent", None}
"""Agents of Ray that wait a minute for their head, and hold nothing meanwhile."""

LOST_WHILE_A_PART_OPENS = """
import toy
from selfimprove import RayCluster
from selfimprove.errors import WorkerFailed

class Struck(RayCluster):
    def _require_cpus(self, role, part):
        if role == "struck":
            self._vital._processes["gcs_server"].kill()
        super()._require_cpus(role, part)

try:
    with Struck(ship=[toy]) as cluster:
        # Ray itself asks its head for something when it has started, and would not end if it never heard.
        cluster.open("sampler", toy.ToySampler()).call("close")
        cluster.open("struck", toy.ToySampler(help=0.5))
except WorkerFailed as error:
    print(error)
"""


@pytest.mark.ray
def test_a_cluster_lost_while_a_part_opens_is_named(tmp_path: Path, started: Started) -> None:
    line = [sys.executable, "-c", LOST_WHILE_A_PART_OPENS]
    done = subprocess.run(line, env=environment(tmp_path), capture_output=True, text=True, timeout=90)
    assert done.stdout.startswith("the local Ray cluster is lost: its gcs_server was killed by SIGKILL"), done
    assert done.returncode == 0
    assert eventually(lambda: {name_of(pid) for pid in started.alive()} <= WAITING, 30), started.left_after(0)


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_that_does_not_start_in_time_is_named(model: Path, tmp_path: Path, started: Started) -> None:
    # No head is there at once.
    at_once = environment(tmp_path, RAY_gcs_server_port_wait_time_s="0")
    done = subprocess.run(command(tmp_path, model, "late"), env=at_once, capture_output=True, text=True, timeout=90)
    assert done.returncode == 2 and started.left_after(90) == set()
    assert done.stderr.startswith("selfimprove: the local Ray cluster did not start: ") and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.ray
@pytest.mark.long
def test_a_node_that_does_not_start_in_time_is_named(model: Path, tmp_path: Path, started: Started) -> None:
    line, frozen = command(tmp_path, model, "late"), list[psutil.Process]()
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(line, env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=errors)
        while not frozen:
            assert process.poll() is None, "the run ended by itself"
            frozen = [child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == "raylet"]
            time.sleep(0.01)
        frozen[0].suspend()
        # Ray waits for half a minute.
        assert process.wait(90) == 2
    told = (tmp_path / "errors").read_text()
    assert told.startswith("selfimprove: the local Ray cluster did not start: ") and told.count("\n") == 1, told
    assert started.left_after(90) == set()


def name_of(pid: int) -> str | None:
    try:
        return psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return None


def eventually(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.2)
    return holds()


@pytest.mark.slow
def test_a_run_whose_mlflow_server_was_killed_continues_and_logs_the_rest_later(model: Path, tmp_path: Path, started: Started) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    # Fewer retries, between which MLflow waits: an outage of seconds and one of a moment end in the same queue.
    address = environment(tmp_path, MLFLOW_TRACKING_URI=uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    server = serve_mlflow(tmp_path, uri)
    line = command(tmp_path, model, "run", "--inline", problems=100)
    process = subprocess.Popen(line, env={**address, "PAUSE": "0.003"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while count_files(tmp_path / "run") < 25:
        assert process.poll() is None, "the run ended by itself"
        time.sleep(0.05)
    for one in (*psutil.Process(server.pid).children(recursive=True), server):
        one.kill()
    server.wait()
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert RunFolder(tmp_path / "run").reports()[-1].generation == 3
    server = serve_mlflow(tmp_path, uri)
    try:
        finish(line, address)
        assert_logged_once(tmp_path, tmp_path / "run", uri)
    finally:
        for one in (*psutil.Process(server.pid).children(recursive=True), server):
            one.kill()
        server.wait()


def serve_mlflow(tmp_path: Path, uri: str) -> subprocess.Popen[bytes]:
    import urllib.request

    store = f"sqlite:///{tmp_path / 'served.db'}"
    line = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--artifacts-destination", str(tmp_path / "artifacts")]
    line += ["--host", "127.0.0.1", "--port", uri.rpartition(":")[2], "--workers", "1"]
    quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(line, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert server.poll() is None, "the MLflow server did not start"
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=2).close()
            return server
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the MLflow server did not answer")
