"""A run in a bucket on an S3 server: its machine is lost, and the same command continues it from an empty disk."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from killable import WORKFLOW, files_of
from places import PYTHONPATH
from toy import make_toy_model
from untracked import UNTRACKED, leave_out_mlflow

from selfimprove.__main__ import main

pytest.importorskip("s3fs", reason="s3fs is not installed: it comes with the dev extra")
pytest.importorskip("moto", reason="moto is not installed: it comes with the dev extra")

pytestmark = pytest.mark.slow

KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """An S3 server with the bucket `runs`; the environment points every client to it."""
    import s3fs

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "from moto.server import ThreadedMotoServer as Server; import sys, time; Server(port=int(sys.argv[1])).start(); time.sleep(3600)"
    line, quiet = [sys.executable, "-c", code, str(port)], subprocess.DEVNULL
    with pytest.MonkeyPatch.context() as change, subprocess.Popen(line, stdout=quiet, stderr=quiet) as process:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
            change.setenv(name, value)
        # A file system that another test has made keeps the keys of that test.
        s3fs.S3FileSystem.clear_instance_cache()
        deadline = time.monotonic() + 120
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)
        try:
            s3fs.S3FileSystem().mkdir("runs")
            yield
        finally:
            process.kill()
            s3fs.S3FileSystem.clear_instance_cache()


def test_a_run_whose_machine_was_lost_continues_elsewhere_from_the_bucket(tmp_path: Path) -> None:
    import s3fs

    def environment(machine: str, **more: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": PYTHONPATH, "SELFIMPROVE_CACHE": str(tmp_path / machine), **more}

    def command(run_dir: str) -> list[str]:
        return [sys.executable, "-m", "selfimprove", "run", str(file), "--inline", "--run-dir", run_dir]

    def sampled() -> list[str]:
        return log.read_text().splitlines()

    model, file, log = make_toy_model(tmp_path / "model", 0.2), tmp_path / "toys.py", tmp_path / "sampled.log"
    workflow = WORKFLOW.format(model=str(model), log=str(log)).replace("size=335", "size=100").replace("generations=3", "generations=2")
    file.write_text(UNTRACKED + workflow)
    with pytest.MonkeyPatch.context() as patch:
        leave_out_mlflow(patch)
        assert main(command(str(tmp_path / "whole"))[3:]) == 0
    requests = len(sampled())

    store, url = s3fs.S3FileSystem(use_listings_cache=False), "s3://runs/deep/first"
    process = subprocess.Popen(command(url), env=environment("lost", PAUSE="0.005"), stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL)
    while not store.exists("runs/deep/first/generation-01/report.json"):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = len(sampled())
    (tmp_path / "lost").rename(tmp_path / "out of reach")
    done = subprocess.run(command(url), env=environment("found"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"continuing toy in {url}" in done.stdout

    assert len(sampled()) - before < requests, "traces in the bucket were sampled again"
    (folder,) = (tmp_path / "found" / "runs").iterdir()
    assert files_of(folder) == {".mirror": (folder / ".mirror").read_bytes()} | files_of(tmp_path / "whole")
    stored = {name.removeprefix("runs/deep/first/") for name in store.find("runs/deep/first")}
    assert files_of(tmp_path / "whole").keys() < stored and "mirror.json" in stored and "lease.json" not in stored


def test_a_missing_bucket_is_named_and_not_created(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import s3fs

    file = tmp_path / "toys.py"
    file.write_text(f"from pathlib import Path\nfrom toy import toy_workflow\nworkflow = toy_workflow(Path({str(tmp_path)!r}))\n")
    assert main(["run", str(file), "--inline", "--run-dir", "s3://rnus/first"]) == 2
    line = capfd.readouterr().err
    assert line.startswith("selfimprove: s3://rnus/first cannot be used (FileNotFoundError: ") and line.count("\n") == 1
    assert s3fs.S3FileSystem().ls("") == ["runs"]
