"""What runs in the pool's processes: a nursery that loads the verifier once, and the workers that it forks from itself to judge answers.

This side reads what the pool sends and trusts nothing that the verifier does. `nursery.py` and `pool.py` are the other side.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import signal
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

LONGEST_REPORT = 500
"""Characters of an exception's message that are passed on."""


def main(control_fd: int) -> None:
    """The nursery: load the verifier, then fork and end workers as the pool asks, until the pool's end of the connection closes."""
    control: Connection[Any, Any] = Connection(control_fd)
    # Ends this process when the verifier is too long in loading, even if the pool is gone by then.
    signal.alarm(control.recv())
    try:
        verifier: Verifier = pickle.loads(control.recv_bytes())
        if prepare := getattr(verifier, "prepare", None):
            prepare()
    except BaseException as error:
        control.send(_message(error))
        return
    signal.alarm(0)
    control.send(None)
    # What outlives a worker that made it becomes a child of this process, which ends it.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    # The collector would write to, and so copy, memory that the workers share.
    gc.freeze()
    _tend(control, verifier)


def _tend(control: Connection[Any, Any], verifier: Verifier) -> None:
    # What the verifier started as it loaded is not a worker but has the same right to stay.
    workers = _children()
    # Where the pool is gone there is no one left to tell.
    with contextlib.suppress(EOFError, OSError):
        while True:
            ending: int | None = control.recv()
            if ending is not None:
                _end({ending} & workers, workers)
                control.send(ending)
                continue
            handle = recv_handle(control)
            pid = os.fork()
            if pid == 0:
                os.close(control.fileno())
                _work(Connection(handle), verifier)
            os.setpgid(pid, pid)
            os.close(handle)
            workers.add(pid)
            control.send(pid)
    _end(set(workers), workers)


def _end(pids: set[int], workers: set[int]) -> None:
    """End these workers, their process groups, and whatever else has no living parent but this process."""
    for pid in pids:
        # No other process can have got this id: it stays taken until it is waited for. A group can be gone, though.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    workers.difference_update(pids)
    while strays := _children() - workers:
        for pid in strays:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _children() -> set[int]:
    pid = os.getpid()
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except FileNotFoundError:
        return set()  # A kernel without this file: process groups have to do.


def _work(channel: Connection[Any, Any], verifier: Verifier) -> None:
    """Judge what comes, and report after each answer; never returns."""
    try:
        worker, nursery = os.getpid(), os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # Where memory runs out, this process is the one to lose.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        # A process that the verifier forks must neither report in this one's place nor keep the connection open after its death.
        os.register_at_fork(after_in_child=channel.close)
        while os.getppid() == nursery:
            for problem, answer in channel.recv():
                report = _judge(verifier, problem, answer)
                if os.getpid() != worker:
                    return
                channel.send_bytes(report)
    finally:
        os._exit(0)


def _judge(verifier: Verifier, problem: Problem, answer: str) -> bytes:
    """The outcome, and after a space what went wrong."""
    try:
        return Outcome(verifier.verify(problem, answer)).encode()
    except BaseException as error:
        return f"{Outcome.CRASH} {_message(error)}".encode(errors="replace")


def _message(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REPORT]
