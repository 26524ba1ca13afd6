"""Kills and Ctrl-C while the next generation is sampled and a candidate trains: the same command then ends as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import killable
import pytest
import toy
from apart import Apart
from killable import NotingSampler, PausingTrainer, files_of, reports
from processes import watching
from toy import Sums, make_toy_model, toy_workflow

from selfimprove import Exact, Guard, InlineCluster, RayCluster, Workflow, improve
from selfimprove.protocols import WorkerPart
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import NoProgress

KILLS = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_model(tmp_path_factory.mktemp("models") / "model", 0.2)


def overlapped(model: Path, log: Path, size: int = 90, generations: int = 2) -> Workflow:
    parts = {
        "guards": {"far": Guard(problems=Sums(20, 900), verifier=Exact())},
        "problems": Sums(size=size),
        "sampler": NotingSampler(log=str(log)),
        "trainer": PausingTrainer(gain=0.004),
    }
    return toy_workflow(model, overlap=1, keep_checkpoints="champion", generations=generations, answer_only_baseline=False, **parts)


def beside(model: Path, log: Path, root: Path) -> None:
    """A run in a process of its own, with sampler and trainer side by side."""
    os.environ["PAUSE"] = "0.0005"
    improve(overlapped(model, log, size=335, generations=3), root, Apart)


def count_files(root: Path) -> int:
    return sum(path.is_file() and not path.name.startswith(".") for path in root.rglob("*")) if root.exists() else 0


@pytest.mark.slow
@pytest.mark.long
def test_a_driver_killed_at_any_moment_continues_where_it_was(model: Path, tmp_path: Path) -> None:
    improve(overlapped(model, tmp_path / "whole.log", size=335, generations=3), tmp_path / "whole", InlineCluster)
    total, chance, root = count_files(tmp_path / "whole"), random.Random(18), tmp_path / "killed"
    context, kills = multiprocessing.get_context("forkserver"), set[int]()
    context.set_forkserver_preload(["killable", "apart", "selfimprove.loop", "pyarrow.parquet"])
    with watching() as started:
        for wanted in sorted(chance.sample(range(12, total - 8), KILLS)):
            process = context.Process(target=beside, args=(model, tmp_path / "killed.log", root))
            process.start()
            while count_files(root) < wanted and process.is_alive():
                time.sleep(0.002)
            time.sleep(chance.random() * 0.05)
            process.kill()
            process.join()
            assert process.exitcode == -signal.SIGKILL, "the run was over before it was killed"
            kills.add(count_files(root))
        beside(model, tmp_path / "killed.log", root)
        assert len(kills) > KILLS / 2
        assert files_of(root) == files_of(tmp_path / "whole")
        assert reports(root) == reports(tmp_path / "whole")
        # The fork server of this test lives on.
        assert len(started.left_after(20)) <= 2


class Striking(NoProgress):
    """Kills a worker, or interrupts the run, when a stage has so many results; the stage of each thread is its own."""

    def __init__(self, strikes: dict[tuple[str, int], str], parts: Mapping[str, WorkerPart]) -> None:
        self.cluster: RayCluster | None = None
        self.parts = parts
        self.strikes, self.struck = dict(strikes), list[str]()
        self.stage, self.done = dict[int, str](), Counter[str]()
        self.interrupted = 0.0
        self.both = 0
        """Results of one stage while another was in progress."""

    def begin(self, stage: str, total: int) -> None:
        self.stage[threading.get_ident()] = stage

    def end(self) -> None:
        del self.stage[threading.get_ident()]

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
        import ray

        stage = self.stage[threading.get_ident()]
        self.done[stage] += items
        self.both += len(self.stage) > 1
        for due in [due for due in self.strikes if due[0] == stage and due[1] <= self.done[stage]]:
            self.struck.append(role := self.strikes.pop(due))
            if role == "driver":
                self.interrupted = time.monotonic()
                os.kill(os.getpid(), signal.SIGINT)
            else:
                assert self.cluster is not None
                ray.kill(self.cluster.open(role, self.parts[role])._actors[0], no_restart=True)


@pytest.fixture
def two_gpus() -> Iterator[None]:
    """A local cluster that claims two GPUs."""
    import ray

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PAUSE", "0.01")
        ray.init(address="local", num_gpus=2, num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    # A shell lets its background jobs ignore SIGINT, and then Python installs no handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    ray.shutdown()


@pytest.mark.ray
def test_on_two_gpus_both_work_at_once_and_neither_kills_nor_ctrl_c_change_anything(model: Path, tmp_path: Path, two_gpus: None) -> None:
    workflow, root = overlapped(model, tmp_path / "log", generations=3), tmp_path / "struck"
    improve(workflow, tmp_path / "whole", InlineCluster)
    kills = {("generation 2, sampling", 20): "sampler", ("generation 1, training", 20): "trainer", ("generation 2, training", 10): "driver"}
    striking = Striking(kills, {"sampler": workflow.sampler, "trainer": workflow.trainer})

    def start() -> RayCluster:
        striking.cluster = RayCluster(ship=[toy, killable])
        return striking.cluster

    with pytest.raises(KeyboardInterrupt):
        improve(workflow, root, start, progress=striking)
        pytest.fail(f"nothing interrupted it; struck were {striking.struck}, at {striking.done}")
    assert sorted(striking.struck) == ["driver", "sampler", "trainer"] and striking.both > 10
    assert time.monotonic() - striking.interrupted < 30
    assert not any(thread.name.startswith("sampling-ahead") for thread in threading.enumerate())
    assert len(RunFolder(root).reports()) == 2
    improve(workflow, root, InlineCluster)
    assert files_of(root) == files_of(tmp_path / "whole")
    assert reports(root) == reports(tmp_path / "whole")
