"""`slurm.sbatch` with stand-ins for Slurm, Ray and the run: what it starts, and when it queues again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import ROOT

SCRIPT = ROOT / "slurm.sbatch"
SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_CPUS_ON_NODE": "4", "SLURM_CPUS_PER_TASK": "4", "SLURM_GPUS_ON_NODE": "2"}
STAND_INS = {
    "scontrol": 'echo "scontrol $*" >> calls; if [ "$1" = show ]; then printf "localhost\\n127.0.0.1\\n"; fi',
    "squeue": "cat state",
    "srun": 'echo "srun $*" >> calls; if [ "$2" = rm ]; then shift; "$@"; fi',
    # The head answers at its port until it is told to end.
    "ray": 'echo "ray $RAY_AUTH_MODE $*" >> calls; port=${RAY_ADDRESS#*:}\n'
    f"exec {sys.executable} -c 'import socket, sys, time; s = socket.create_server((\"127.0.0.1\", int(sys.argv[1]))); time.sleep(60)' $port",
    "python": f'case "$2" in *"import ray"*) exit 0;; esac; exec {sys.executable} "$@"',
    "selfimprove": 'echo "selfimprove $* at ${RAY_ADDRESS:-no address}" >> calls\n'
    'trap "exit 130" TERM; touch started; sleep "$PAUSE" & wait; exit "$CODE"',
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in STAND_INS.items():
        file = tmp_path / ".venv" / "bin" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/usr/bin/env bash\n{text}\n")
        file.chmod(0o755)
    (tmp_path / "state").write_text("RUNNING\n")
    return tmp_path


def run(place: Path, nodes: int = 1, code: int = 0, sent: signal.Signals | None = None) -> tuple[int, list[str]]:
    """The script's exit code, and the commands that it gave."""
    job = f"{os.getpid()}{time.monotonic_ns() % 1000:03}"
    environment = {**os.environ, **SLURM, "SLURM_JOB_ID": job, "SLURM_NNODES": str(nodes), "PAUSE": "30" if sent else "0", "CODE": str(code)}
    environment.pop("RAY_ADDRESS", None)
    process = subprocess.Popen(["bash", SCRIPT, "w.py", "--run-dir", "/shared/a b"], cwd=place, env=environment, start_new_session=True)
    try:
        if sent:
            deadline = time.monotonic() + 60
            while not (place / "started").exists():
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(sent)
        status = process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert not Path(f"/tmp/ray-{job}").exists()
    return status, (place / "calls").read_text().replace(job, "JOB").splitlines()


def test_on_one_node_the_run_starts_ray_itself(place: Path) -> None:
    assert run(place) == (0, ["selfimprove run w.py --run-dir /shared/a b at no address"])


def test_on_several_nodes_ray_asks_for_a_token_and_has_no_dashboard(place: Path) -> None:
    status, calls = run(place, nodes=2)
    assert status == 0
    head, workers, asked = (next(call for call in calls if call.startswith(name)) for name in ("ray", "srun --overlap --exclude", "selfimprove"))
    assert head.startswith("ray token start --block --num-cpus=4 --num-gpus=2 --temp-dir=/tmp/ray-JOB --head --node-ip-address=127.0.0.1 --port=")
    assert "--include-dashboard=false" in head and "0.0.0.0" not in SCRIPT.read_text()
    address = asked.rpartition(" ")[2]
    assert re.fullmatch(r"127\.0\.0\.1:(2\d|3[01])\d{3}", address)
    assert "--exclude=localhost --nodes=1 --ntasks=1 --cpus-per-task=4" in workers and workers.endswith(f"--address={address}")
    assert not re.search(r"[0-9a-f]{64}", "".join(calls))
    assert calls[-1] == "srun --overlap rm -rf /tmp/ray-JOB"


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("sent", [signal.SIGUSR1, signal.SIGTERM])
def test_a_run_that_slurm_stops_queues_again(place: Path, nodes: int, sent: signal.Signals) -> None:
    status, calls = run(place, nodes, sent=sent)
    assert status == 130 and calls[-1] == "scontrol requeue JOB"


def test_a_cancelled_job_and_one_that_ends_do_not_queue_again(place: Path) -> None:
    assert run(place, code=2)[0] == 2
    (place / "state").write_text("COMPLETING\n")
    (place / "started").unlink()
    status, calls = run(place, sent=signal.SIGTERM)
    assert status == 130 and not any("requeue" in call for call in calls)


def test_slurm_sends_the_signal_that_the_script_waits_for_and_may_queue_it_again() -> None:
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", SCRIPT.read_text(), flags=re.MULTILINE))
    assert options["signal"].startswith("B:USR1@") and int(options["signal"].rpartition("@")[2]) >= 120
    assert {"requeue", "exclusive"} <= set(options) and options["open-mode"] == "append"


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    subprocess.run(["shellcheck", "--severity=style", SCRIPT], check=True)
