"""What runs in the pool's processes: a fork server that loads the verifier once, and the workers it forks to verify answers.

This side reads what the pool sends and trusts nothing that the verifier does. `fork_server.py` and `pool.py` are the other side.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import signal
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any

from selfimprove.errors import Unavailable
from selfimprove.protocols import Verifier
from selfimprove.records import Problem
from selfimprove.verification.report import Report
from selfimprove.verification.worker_confinement import Protections, leave_networks

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

LONGEST_MESSAGE = 500
"""Characters of an exception's message that are passed on."""


def main(control_fd: int) -> None:
    """The fork server: load the verifier, then fork and end workers on request until the pool closes its end of the connection."""
    control: Connection[Any, Any] = Connection(control_fd)
    # Ends this process if the verifier takes too long to load, even when the pool is gone by then.
    signal.alarm(control.recv())
    try:
        verifier: Verifier = pickle.loads(control.recv_bytes())
        scratch: str | None = control.recv()
        verifier.prepare()
        confinement = verifier.confinement
        protections = None
        if confinement.when != "never":
            if not confinement.network:
                leave_networks()
            protections = Protections.of(confinement, scratch)
        missing = protections.missing() if protections else []
    except BaseException as error:
        control.send((_message(error), []))
        return
    signal.alarm(0)
    control.send((None, missing))
    # Whatever outlives the worker that started it becomes a child of this process, which ends it.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    # The collector would write to, and so copy, memory that the workers share.
    gc.freeze()
    _serve(control, verifier, protections)


def _serve(control: Connection[Any, Any], verifier: Verifier, protections: Protections | None) -> None:
    # Processes that the verifier started while loading are not workers, but may stay as well.
    workers = _children()
    # An error here means that the pool is gone.
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
                _work(Connection(handle), verifier, protections)
            os.setpgid(pid, pid)
            os.close(handle)
            workers.add(pid)
            control.send(pid)
    _end(set(workers), workers)


def _end(pids: set[int], workers: set[int]) -> None:
    """End these workers, their process groups, and every other process whose only living parent is this one."""
    for pid in pids:
        # No other process can have this id: it stays taken until it is waited for. The group may be gone, though.
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
        return set()  # This kernel lacks the file: ending process groups has to suffice.


def _work(channel: Connection[Any, Any], verifier: Verifier, protections: Protections | None) -> None:
    """Verify incoming answers and report after each; never returns."""
    try:
        worker, fork_server = os.getpid(), os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # If memory runs out, the kernel should kill this process first.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        # A process that the verifier forks must neither report in this one's place nor keep the connection open after its death.
        os.register_at_fork(after_in_child=channel.close)
        if protections is not None:
            protections.apply()
        while os.getppid() == fork_server:
            for problem, answer in channel.recv():
                report = _verify(verifier, problem, answer)
                if os.getpid() != worker:
                    return
                channel.send_bytes(report)
    finally:
        os._exit(0)


def _verify(verifier: Verifier, problem: Problem, answer: str) -> bytes:
    """The encoded report on one answer."""
    try:
        return Report.of(verifier.verify(problem, answer)).encode()
    except Unavailable as error:
        return replace(Report.crash(_message(error, named=False)), unavailable=True).encode()
    except BaseException as error:
        hint = "; it is confined: declare what it needs in `confinement`" if isinstance(error, PermissionError) else ""
        return Report.crash(_message(error) + hint).encode()


def _message(error: BaseException, named: bool = True) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split() if named else str(error).split())[:LONGEST_MESSAGE]
