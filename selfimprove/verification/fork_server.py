"""Starts the process that holds the verifier, and has it fork and end workers."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import Any

from selfimprove.errors import UserError, WorkerFailed
from selfimprove.protocols import Verifier
from selfimprove.records import Problem

START_SECONDS = 120
"""The longest that a verifier may take to load."""
REPLY_SECONDS = 30
"""The longest that forking or ending a worker, or one read or write of its connection, may take."""

BOOTSTRAP = "import sys; sys.path[:] = sys.argv[2:]; from selfimprove.verification.worker import main; main(int(sys.argv[1]))"


@dataclass(eq=False)
class Worker:
    """A process that judges one answer after another."""

    pid: int
    channel: Connection[Any, Any]
    running: deque[int] = field(default_factory=deque)
    """Which answers it was given and has not reported on, the one it is busy with first."""
    since: float = 0.0
    """When it began that one, by the monotonic clock, in seconds."""

    def give(self, pairs: Sequence[tuple[Problem, str]]) -> None:
        """Send answers to judge. Raises OSError where the worker is dead or does not read."""
        self.channel.send(list(pairs))


class Nursery:
    """A process of one thread that has loaded the verifier, so that a new worker is a fork and costs milliseconds.

    It is started as a fresh interpreter (forking a process with threads is not safe), in a session of its own (Ctrl-C does not reach it),
    and ends with everything it started once its connection closes, as it does when this process dies in whatever way.
    """

    def __init__(self, verifier: Verifier) -> None:
        """Start the process. Raises UserError where the verifier does not load in it."""
        self._verifier = verifier.name
        self._pickled = _pickle(verifier)
        self._start()

    def hire(self) -> Worker:
        """A new worker. Raises WorkerFailed where there is none to be had, even from a new nursery."""
        try:
            return self._fork()
        except (EOFError, OSError):
            self.close()
            self._start()
        try:
            return self._fork()
        except (EOFError, OSError) as error:
            raise WorkerFailed(f"the verifier {self._verifier} cannot start a process: {error!r}") from error

    def dismiss(self, worker: Worker) -> None:
        """End a worker and all that it started, whatever it is doing."""
        worker.channel.close()
        # Where the nursery is dead, its workers are too.
        with contextlib.suppress(EOFError, OSError):
            self._ask(worker.pid)

    def close(self) -> None:
        """End the nursery and all its workers."""
        self._control.close()
        try:
            self._process.wait(REPLY_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        self._control, theirs = Pipe()
        command = [sys.executable, "-c", BOOTSTRAP, str(theirs.fileno()), *sys.path]
        # What a verifier prints is nobody's business.
        nowhere = subprocess.DEVNULL
        with theirs:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
            )
        try:
            self._control.send(START_SECONDS)
            self._control.send_bytes(self._pickled)
            problem = self._control.recv() if self._control.poll(START_SECONDS) else f"not ready after {START_SECONDS} s"
        except (EOFError, OSError):
            problem = "its process died"
        if problem is not None:
            self._process.kill()
            self.close()
            raise UserError(f"the verifier {self._verifier} cannot start: {problem}; try it alone in Python")

    def _fork(self) -> Worker:
        ours, theirs = Pipe()
        with theirs:
            _limit_waits(ours)
            self._control.send(None)  # None asks for a worker, a number for the end of the worker with that id.
            send_handle(self._control, theirs.fileno(), self._process.pid)
            pid = self._reply()
        return Worker(pid, ours)

    def _ask(self, pid: int) -> None:
        self._control.send(pid)
        self._reply()

    def _reply(self) -> int:
        if not self._control.poll(REPLY_SECONDS):
            self._process.kill()
            raise TimeoutError(f"no reply within {REPLY_SECONDS} s")
        return int(self._control.recv())


def _pickle(verifier: Verifier) -> bytes:
    """The verifier with its class, where a fresh process could not import that: a class of a workflow file, of a test, of a notebook."""
    import cloudpickle  # type: ignore[import-untyped]

    module = sys.modules.get(type(verifier).__module__)
    by_value = module is not None and not _importable(module.__name__, getattr(module, "__file__", None))
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(verifier))
    except Exception as error:  # Whatever the verifier's own pickling raises.
        raise UserError(f"the verifier {verifier.name} cannot be sent to a process: {error}; let it hold settings, not connections") from error
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)


def _importable(module: str, file: str | None) -> bool:
    """Whether a fresh process finds this very module under its name; what this process has loaded by path does not count."""
    root = module.partition(".")[0]
    loaded = sys.modules.get(root)
    specs = (finder.find_spec(root, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    spec = next(filter(None, specs), None)
    return spec is not None and loaded is not None and spec.origin == getattr(loaded, "__file__", file)


def _limit_waits(channel: Connection[Any, Any]) -> None:
    """Let no read or write block for long, should the process at the other end stop in the middle of one."""
    with socket.socket(fileno=channel.fileno()) as end:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            end.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", REPLY_SECONDS, 0))
        end.detach()
