"""Runs the code of an answer (the submission) and the tests of its problem (the tester) in two confined processes."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from selfimprove.errors import UserError
from selfimprove.records import Outcome
from selfimprove.verification.confined.codec import encode

# A fresh interpreter, not a fork of the worker: the worker's memory holds tests and reference answers of many problems.
# The real path avoids that of a virtual environment, whose packages cannot be read inside the sandbox.
INTERPRETER = (os.path.realpath(sys.executable), "-I", "-S", "-c")
NOT_CONFINED = 77
"""Exit status of a process that could not be confined."""
BOOTSTRAP = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from confined import protections, submission, tester
del sys.path[0]
role, parent, memory, seconds, socket = sys.argv[1], *map(int, sys.argv[2:])
try:
    protections.confine(parent, memory, seconds)
except OSError:
    sys.exit({NOT_CONFINED})
tester.main(socket) if role == "tester" else submission.main(socket)
"""


def evaluate(code: str, tests: list[str], entry_point: str | None, seconds: float, memory: int) -> Outcome:
    """The outcome of running `tests` against `code`.

    The submission process only serves calls: it never holds the tests, and whatever it returns reaches them as plain data.

    Args:
        code: untrusted Python.
        tests: Python texts, run in order; they see the names that `code` defines.
        entry_point: a name that the tests take from `code` even if it is also a built-in.
        seconds: wall time, including the start of both processes.
        memory: bytes of address space for each process.

    Raises:
        UserError: this kernel does not confine processes, so nothing was run.
        ValueError: the tests are not Python.
    """
    until = time.monotonic() + seconds
    limits = (os.getpid(), memory, math.ceil(seconds) + 1)
    with contextlib.ExitStack() as stack:
        served, serving = socket.socketpair()
        job = os.memfd_create("job")
        with served, serving, open(job, "wb+") as file:
            file.write(encode((code, tests, entry_point)))
            file.seek(0)
            submission = stack.enter_context(_started("submission", limits, serving))
            tester = stack.enter_context(_started("tester", limits, served, stdin=file, stdout=subprocess.PIPE))
        assert tester.stdout is not None
        ready, _, _ = select.select([tester.stdout], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return Outcome.TIMEOUT
        found, _, why = os.read(tester.stdout.fileno(), 4096).decode().partition(" ")
        match found:
            case "correct" | "wrong" | "unparseable":
                return Outcome(found)
            case "memory":
                return Outcome.CRASH
            case "broken":
                raise ValueError(f"the tests are not Python: {why}")
            case "gone":
                return _how_it_ended(submission, until)
        if _exit_status(tester, until) == NOT_CONFINED:
            raise UserError("this kernel does not confine processes, so no code is run; use Linux on x86-64 or aarch64 with Landlock and seccomp")
        return Outcome.TIMEOUT if tester.returncode == -signal.SIGXCPU else Outcome.CRASH


@contextlib.contextmanager
def _started(
    role: str, limits: tuple[int, ...], end: socket.socket, stdin: IO[bytes] | int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """A confined process, killed on exit; it cannot have started another."""
    # Python itself may need this variable to find its libraries; a submission must see no other.
    environment = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    process = subprocess.Popen(
        [*INTERPRETER, BOOTSTRAP, role, *map(str, limits), str(end.fileno())],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        pass_fds=[end.fileno()],
        cwd="/",
        env=environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _how_it_ended(process: subprocess.Popen[bytes], until: float) -> Outcome:
    """WRONG if it ended itself or closed its socket, TIMEOUT if its CPU time was up, CRASH if another signal ended it."""
    status = _exit_status(process, until)
    if status is None or status >= 0:
        return Outcome.WRONG
    return Outcome.TIMEOUT if status == -signal.SIGXCPU else Outcome.CRASH


def _exit_status(process: subprocess.Popen[bytes], until: float) -> int | None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(max(0.0, until - time.monotonic()))
    return None
