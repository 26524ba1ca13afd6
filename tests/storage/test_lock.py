"""One writer at a time for a run folder, and a dead process keeps nobody out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfimprove.storage.lock import BeingWritten, locked

HOLD = """
import sys, time
from pathlib import Path
from selfimprove.storage.lock import locked
with locked(Path(sys.argv[1])): print(flush=True); time.sleep(600)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes to the folder `run`."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline()
        yield process
        process.kill()


def test_a_second_process_is_refused_by_the_name_of_the_first_until_that_is_killed(other: subprocess.Popen[str], tmp_path: Path) -> None:
    line = rf"run is being written by process {other.pid} on host {os.uname().nodename} since [\d :-]+; wait until it ends, or use another --run-dir"
    for _ in range(2):
        with pytest.raises(BeingWritten, match=line), locked(tmp_path / "run"):
            pass
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / "run" / ".lock").exists()
    with locked(tmp_path / "run"):
        pass
    assert not list((tmp_path / "run").iterdir())


def test_a_child_does_not_keep_the_lock_of_a_parent_that_was_killed(tmp_path: Path) -> None:
    forking = HOLD.replace("print(", "import os; os.fork() or (time.sleep(3), os._exit(0)); print(")
    with subprocess.Popen([sys.executable, "-c", forking, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline()
        process.kill()
        process.wait()
        with locked(tmp_path / "run"):
            pass


def test_this_process_cannot_have_it_twice(tmp_path: Path) -> None:
    with locked(tmp_path / "run"), pytest.raises(BeingWritten, match=f"process {os.getpid()} "), locked(tmp_path / "run" / ".." / "run"):
        pass
    with locked(tmp_path / "run"):
        pass


def test_a_folder_in_which_nothing_was_written_is_as_it_was(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").exists()
    assert not list(tmp_path.iterdir())
