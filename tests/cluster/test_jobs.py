"""A whole run with a tiny model: a Ray head, a submitted job, vLLM, TRL, MLflow, and the files that the run leaves."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from killable import files_of, reports
from places import PYTHONPATH, ROOT
from processes import watching
from toy import make_toy_model
from untracked import UNTRACKED, leave_out_mlflow

from selfimprove import InlineCluster, improve
from selfimprove.records import TrainingStep
from selfimprove.storage.files import read_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.workflow.files import load_workflow

pytestmark = [pytest.mark.ray, pytest.mark.vllm, pytest.mark.trl]

RAY = str(Path(sys.executable).with_name("ray"))


class Head(NamedTuple):
    """A running Ray head."""

    address: str
    """The address for job submissions."""
    folder: Path
    """The head's temporary folder."""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [taken.getsockname()[1] for taken in sockets]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4, "RAY_USAGE_STATS_ENABLED": "0"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    return environment


@pytest.fixture(scope="module")
def head(environment: dict[str, str]) -> Iterator[Head]:
    """A head that listens on loopback only."""
    # Not tmp_path: the path of a Unix socket has at most 107 characters.
    folder = tempfile.mkdtemp(prefix="ray-")
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port", "ray-client-server-port")
    names += ("node-manager-port", "object-manager-port", "runtime-env-agent-port")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    options = [f"--{name}={port}" for name, port in ports.items()]
    options += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--temp-dir={folder}", "--num-cpus=2"]
    options += ["--object-store-memory=100000000", "--disable-usage-stats"]
    log = Path(folder) / "head.log"
    with watching() as started, log.open("w") as output:
        command = [RAY, "start", "--head", "--block", *options]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
        try:
            deadline = time.monotonic() + 180
            while not answers(ports["dashboard-port"]) or not answers(ports["dashboard-agent-listen-port"]):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.3)
            yield Head(f"http://127.0.0.1:{ports['dashboard-port']}", Path(folder))
        finally:
            process.send_signal(signal.SIGTERM)
            started.left_after(30.0)
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def run(head: Head, environment: dict[str, str], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    """The folder of a run that was submitted as a job, and the log of the job."""
    folder = tmp_path_factory.mktemp("job") / "run"
    command = ["python", "-m", "selfimprove", "run", "tests/makers/tiny_workflow.py", "--run-dir", str(folder), "--set", f"base_model={tiny_model}"]
    submit = [RAY, "job", "submit", "--address", head.address, "--working-dir", ".", "--", *command]
    ended = subprocess.run(submit, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    log = ended.stdout + ended.stderr
    assert ended.returncode == 0 and "succeeded" in log, log
    return RunFolder(folder), log


def test_a_submitted_job_prints_its_progress_and_the_table(run: tuple[RunFolder, str]) -> None:
    _, log = run
    for line in ("base model, evaluation: 8 in", "generation 1, sampling: 32 in", "generation 2, training:", "kept: generation 2"):
        assert line in log


def test_every_generation_samples_trains_and_is_evaluated(run: tuple[RunFolder, str]) -> None:
    folder, _ = run
    base, *trained = folder.reports()
    assert base.score.problems == 8 and [report.generation for report in trained] == [1, 2]
    for report in trained:
        assert report.counts.sampled == 32 and 0 < report.counts.accepted < 32 and report.tokens["train"] > 0
        assert report.candidate.weights_hash != base.candidate.weights_hash
        assert sum(report.score.outcomes.values()) == 8
        assert report.drift is not None and report.drift.kl > 0 == base.drift.kl and report.drift.nll > 0


def test_traces_are_a_dataset_and_each_names_the_checkpoint_that_wrote_it(run: tuple[RunFolder, str], tmp_path: Path) -> None:
    from datasets import load_dataset

    folder, _ = run
    for generation, writer in ((1, "base"), (2, "generation-1")):
        files = str(folder.generation(generation) / "traces" / "*.parquet")
        traces = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
        assert len(set(traces["id"])) == 32 and set(traces["checkpoint_id"]) == {writer}
        assert all(0 < len(ids) <= 12 for ids in traces["output_token_ids"])


def test_the_kept_checkpoint_loads_and_brings_its_tokenizer_and_chat_template(run: tuple[RunFolder, str], tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, _ = run
    model = AutoModelForCausalLM.from_pretrained(folder.root / "champion")
    before = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert any(not old.equal(new) for old, new in zip(before.parameters(), model.parameters(), strict=True))
    tokenizers = [AutoTokenizer.from_pretrained(path) for path in (folder.root / "champion", tiny_model)]
    first, second = (tokenizer.apply_chat_template([{"role": "user", "content": "1 + 1 ="}], return_dict=False) for tokenizer in tokenizers)
    assert first == second


def test_mlflow_has_a_parent_with_curves_and_a_nested_run_for_each_generation(run: tuple[RunFolder, str]) -> None:
    from mlflow import MlflowClient

    folder, _ = run
    client = MlflowClient(f"sqlite:///{folder.root.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("selfimprove")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [found for found in runs if "mlflow.parentRunId" not in found.data.tags]
    children = {found.data.params["generation"]: found for found in runs if found.data.tags.get("mlflow.parentRunId") == parent.info.run_id}
    assert set(children) == {"0", "1", "2"} and {found.info.status for found in runs} == {"FINISHED"}

    def curve(run_id: str, key: str) -> list[tuple[int, float]]:
        return sorted((point.step, point.value) for point in client.get_metric_history(run_id, key))

    scores = [report.score.pass_at_1 for report in folder.reports()]
    assert curve(parent.info.run_id, "1_evaluation/pass_at_1") == list(enumerate(scores))
    steps = read_json(folder.generation(2) / "training.json", list[TrainingStep])
    assert curve(children["2"].info.run_id, "0_training/loss") == [(step.step, step.loss) for step in steps]


def test_only_files_that_git_does_not_ignore_are_uploaded(run: tuple[RunFolder, str], head: Head) -> None:
    (sent,) = head.folder.glob("session_2*/runtime_resources/working_dir_files/_ray_pkg_*/")
    assert (sent / "selfimprove" / "loop.py").is_file()
    assert not {".venv", ".git", "runs"} & {path.name for path in sent.iterdir()}
    assert sum(path.stat().st_size for path in sent.rglob("*") if path.is_file()) < 10 << 20


SLOW_WORKFLOW = """
from pathlib import Path
from killable import NotingSampler
from toy import Sums, toy_workflow
workflow = toy_workflow(Path({model!r}), problems=Sums(size=75), eval_problems=5, sampler=NotingSampler(log={log!r}), generations=1)
"""


def test_the_same_command_continues_the_run_of_a_stopped_job(
    head: Head, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, log, folder = make_toy_model(tmp_path / "model", 0.2), tmp_path / "asked.log", tmp_path / "run"
    (tmp_path / "slow.py").write_text(UNTRACKED + SLOW_WORKFLOW.format(model=str(model), log=str(log)))
    command = ["--", "python", "-m", "selfimprove", "run", str(tmp_path / "slow.py"), "--run-dir", str(folder)]

    def ray_job(verb: str, *arguments: str) -> str:
        line = [RAY, "job", verb, "--address", head.address, *arguments]
        ended = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    def submit(name: str, *more: str, **variables: str) -> str:
        runtime = {"env_vars": {"PYTHONPATH": PYTHONPATH, "RAY_JOB_STOP_WAIT_TIME_S": "60", **variables}}
        return ray_job("submit", "--submission-id", name, "--working-dir", ".", "--runtime-env-json", json.dumps(runtime), *more, *command)

    submit("first", "--no-wait", PAUSE="0.3")
    deadline = time.monotonic() + 120
    while not log.exists() or "/g1/" not in log.read_text():
        assert time.monotonic() < deadline, ray_job("logs", "first")
        time.sleep(0.1)
    assert "Job 'first' was stopped" in ray_job("stop", "first")
    said = (head.folder / "session_latest" / "logs" / "job-driver-first.log").read_text()
    assert "selfimprove: interrupted; the same command continues where it stopped" in said
    assert len(RunFolder(folder).reports()) == 1

    assert "continuing toy in" in submit("second")
    leave_out_mlflow(monkeypatch)
    improve(load_workflow(tmp_path / "slow.py")[0], tmp_path / "whole", InlineCluster)
    left = files_of(folder)
    # Written by the command line, not by `improve`.
    assert left.pop("overrides.json") == b"[]\n"
    assert left == files_of(tmp_path / "whole")
    assert reports(folder) == reports(tmp_path / "whole")
