"""Starts the process that holds the verifier, and has it fork and end workers."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import Any, NoReturn

from selfimprove.errors import UserError, WorkerFailed
from selfimprove.protocols import Verifier
from selfimprove.records import Problem
from selfimprove.verification.worker_confinement import environment

START_SECONDS = 120
"""Maximum time for a verifier to load."""
REPLY_SECONDS = 30
"""Maximum time to fork or end a worker, and for one read or write of its connection."""

log = logging.getLogger(__name__)

BOOTSTRAP = "import sys; sys.path[:] = sys.argv[2:]; from selfimprove.verification.worker import main; main(int(sys.argv[1]))"


@dataclass(eq=False)
class VerifierProcess:
    """A forked process that verifies one answer after another."""

    pid: int
    channel: Connection[Any, Any]
    running: deque[int] = field(default_factory=deque)
    """Numbers of the answers it has not reported on, the one it is working on first."""
    since: float = 0.0
    """When it began that one: seconds of the monotonic clock."""

    def give(self, pairs: Sequence[tuple[Problem, str]]) -> None:
        """Send answers to verify. Raises OSError if the process is dead or does not read."""
        self.channel.send(list(pairs))


class ForkServer:
    """A single-threaded process that has loaded the verifier, so that a new worker is a fork and takes milliseconds.

    It is a fresh interpreter, because forking a process with threads is not safe, in its own session, so that Ctrl-C does not reach it. It ends,
    with everything it started, when its connection closes, which happens however this process dies.
    """

    def __init__(self, verifier: Verifier) -> None:
        """Start the process. Raises UserError if the verifier does not load in it, or cannot be confined and must be."""
        self._verifier = verifier.name
        self._confinement = verifier.confinement
        self._pickled = _pickle(verifier)
        self._scratch: str | None = None
        self._start()

    def fork(self) -> VerifierProcess:
        """A new worker. Raises WorkerFailed if even a restarted fork server gives none."""
        try:
            return self._fork()
        except (EOFError, OSError):
            self.close()
            self._start()
        try:
            return self._fork()
        except (EOFError, OSError) as error:
            raise WorkerFailed(f"the verifier {self._verifier} cannot start a process: {error!r}") from error

    def end(self, worker: VerifierProcess) -> None:
        """End a worker and everything it started, whatever it is doing."""
        worker.channel.close()
        # If the fork server is dead, so are its workers.
        with contextlib.suppress(EOFError, OSError):
            self._control.send(worker.pid)
            self._reply()

    def close(self) -> None:
        """End the fork server and all its workers."""
        self._control.close()
        try:
            self._process.wait(REPLY_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    def _start(self) -> None:
        self._control, theirs = Pipe()
        command = [sys.executable, "-c", BOOTSTRAP, str(theirs.fileno()), *sys.path]
        # Whatever a verifier prints is discarded.
        nowhere = subprocess.DEVNULL
        variables = environment(self._confinement)
        if self._confinement.scratch:
            self._scratch = variables["TMPDIR"] = tempfile.mkdtemp(prefix="selfimprove-verifier-")
        with theirs:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True, env=variables
            )
        missing: list[str] = []
        try:
            self._control.send(START_SECONDS)
            self._control.send_bytes(self._pickled)
            self._control.send(self._scratch)
            problem, missing = self._control.recv() if self._control.poll(START_SECONDS) else (f"not ready after {START_SECONDS} s", [])
        except (EOFError, OSError):
            problem = "its process died"
        if problem is not None:
            self._give_up(f"the verifier {self._verifier} cannot start: {problem}; try it alone in Python")
        if missing:
            lacks = f"this machine lacks {' and '.join(missing)}"
            if self._confinement.when == "always":
                allowed = 'Confinement(when="where possible")'
                self._give_up(
                    f"the verifier {self._verifier} may evaluate answers as code, and {lacks} to confine it; use Linux 5.13 or later, or {allowed}"
                )
            log.warning("the verifier %s is not fully confined: %s", self._verifier, lacks)

    def _give_up(self, reason: str) -> NoReturn:
        self._process.kill()
        self.close()
        raise UserError(reason)

    def _fork(self) -> VerifierProcess:
        ours, theirs = Pipe()
        with theirs:
            _limit_waits(ours)
            self._control.send(None)  # None asks for a worker; a process id asks to end that worker.
            send_handle(self._control, theirs.fileno(), self._process.pid)
            pid = self._reply()
        return VerifierProcess(pid, ours)

    def _reply(self) -> int:
        if not self._control.poll(REPLY_SECONDS):
            self._process.kill()
            raise TimeoutError(f"no reply within {REPLY_SECONDS} s")
        return int(self._control.recv())


def _pickle(verifier: Verifier) -> bytes:
    """The pickled verifier, with its class and functions if a fresh process could not import them: those of a workflow file, a test or a notebook."""
    import cloudpickle  # type: ignore[import-untyped]

    names = {type(verifier).__module__, *(getattr(value, "__module__", None) for value in getattr(verifier, "__dict__", {}).values())}
    modules = [sys.modules[name] for name in names if name in sys.modules and not _importable(name, getattr(sys.modules[name], "__file__", None))]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(verifier))
    except Exception as error:  # Whatever the verifier's own pickling raises.
        raise UserError(f"the verifier {verifier.name} cannot be sent to a process: {error}; let it hold settings, not connections") from error
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _importable(module: str, file: str | None) -> bool:
    """Whether a fresh process finds this very module under its name. A module that this process loaded from a path does not count."""
    root = module.partition(".")[0]
    loaded = sys.modules.get(root)
    specs = (finder.find_spec(root, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    spec = next(filter(None, specs), None)
    return spec is not None and loaded is not None and spec.origin == getattr(loaded, "__file__", file)


def _limit_waits(channel: Connection[Any, Any]) -> None:
    """Set timeouts on reads and writes, in case the process at the other end stops in the middle of one."""
    with socket.socket(fileno=channel.fileno()) as end:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            end.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", REPLY_SECONDS, 0))
        end.detach()
