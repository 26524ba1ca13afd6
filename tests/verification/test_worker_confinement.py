"""A verifier that runs its answers as Python can do nothing but compute, and what it has declared."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pytest import LogCaptureFixture, MonkeyPatch, fixture, mark, raises

from selfimprove.errors import UserError
from selfimprove.protocols import Confinement, Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.verification import OpenVerifierPool, VerifierPool
from selfimprove.verification.confined import landlock
from selfimprove.verification.fork_server import BOOTSTRAP

ONLY_COMPUTING = Confinement()


@dataclass(frozen=True)
class Gullible(Verifier):
    """Executes an answer; it is correct if that raises nothing."""

    confinement: Confinement = ONLY_COMPUTING
    name = "gullible"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        exec(answer, {})
        return Outcome.CORRECT


@contextmanager
def opened(confinement: Confinement) -> Iterator[Callable[[str], Outcome]]:
    """Runs a text as an answer."""
    pool = VerifierPool(Gullible(confinement), deadline=10.0, processes=1).open()
    try:
        yield lambda code: pool.verify_answers([(Problem("p", "q", "5", "test"), code)])[0]
    finally:
        pool.close()


@fixture(scope="module")
def pool() -> Iterator[OpenVerifierPool]:
    with MonkeyPatch.context() as patch:
        patch.setenv("API_KEY", "s3cret")
        pool = VerifierPool(Gullible(), deadline=60.0, processes=1).open()
    yield pool
    pool.close()


HARMLESS = {
    "compute": "import sympy; assert sympy.sqrt(4) == 2",
    "read a package": "import numpy, json; open(json.__file__).read()",
    "start a thread": "import threading; t = threading.Thread(target=lambda: None); t.start(); t.join()",
    "numerical library": "import numpy; numpy.linalg.inv(numpy.eye(300))",
    "allocate": "bytearray(100 << 20)",
    "import late": "import statsmodels.api, sklearn.linear_model",
    "write nowhere": "open('/dev/null', 'w').write('x')",
}
HARMFUL = {
    "write": "open(FOLDER + '/new', 'w')",
    "append": "open(FOLDER + '/there', 'a')",
    "truncate": "import os; os.truncate(FOLDER + '/there', 0)",
    "truncate by opening": "import os; os.open(FOLDER + '/there', os.O_RDONLY | os.O_TRUNC)",
    "make a folder": "import os; os.mkdir(FOLDER + '/new')",
    "remove": "import os; os.unlink(FOLDER + '/there')",
    "rename": "import os; os.rename(FOLDER + '/there', FOLDER + '/here')",
    "link": "import os; os.symlink('/etc', FOLDER + '/new')",
    "change its mode": "import os; os.chmod(FOLDER + '/there', 0)",
    "change its dates": "import os; os.utime(FOLDER + '/there', (0, 0))",
    "change attributes": "import os; os.setxattr(FOLDER + '/there', 'user.x', b'x')",
    "read a file": "open(FOLDER + '/there').read()",
    "list a folder": "import os; os.listdir(FOLDER)",
    "read accounts": "open('/etc/passwd').read()",
    "read the environment of another process": "import os; open(f'/proc/{os.getppid()}/environ').read()",
    "write to the temporary folder": "import tempfile; tempfile.TemporaryFile()",
    "shared memory": "open('/dev/shm/x', 'w')",
    "read a secret": "import os; os.environ['API_KEY']",
    "connect": "import socket; socket.create_connection(('127.0.0.1', PORT))",
    "datagram": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "listen": "import socket; socket.create_server(('127.0.0.1', 0))",
    "local socket": "import socket; socket.socket(socket.AF_UNIX)",
    "fork": "import os; os.fork()",
    "start a program": "import subprocess; subprocess.run(['/bin/true'], check=True)",
    "replace itself": "import os; os.execv('/bin/true', ['true'])",
    "signal its parent": "import os; os.kill(os.getppid(), 0)",
    "raise a limit": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))",
    "mount": "import ctypes; assert ctypes.CDLL(None).mount(b'none', FOLDER.encode(), b'tmpfs', 0, None) == 0",
    "trace": "import ctypes, os; assert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0",
    "new namespace": "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "page memory out": "import mmap; mmap.mmap(-1, 4096).madvise(21)",
    "use all memory": "bytearray(8 << 30)",
    "ring": "import ctypes; assert ctypes.CDLL(None).syscall(425, 1, bytes(120)) >= 0",
}


def prepared(code: str, folder: Path, port: int = 1) -> str:
    (folder / "there").write_text("there")
    return f"FOLDER, PORT = {str(folder)!r}, {port}\n{code}"


def unchanged(folder: Path) -> bool:
    return os.listdir(folder) == ["there"] and (folder / "there").read_text() == "there"


@mark.parametrize("what", HARMLESS)
def test_a_confined_verifier_computes_and_reads_packages(what: str, pool: OpenVerifierPool) -> None:
    assert pool.verify_answers([(Problem("p", "q", "5", "test"), HARMLESS[what])]) == [Outcome.CORRECT]


@mark.parametrize("what", HARMFUL)
def test_a_confined_verifier_does_nothing_else(what: str, pool: OpenVerifierPool, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = prepared(HARMFUL[what], tmp_path, server.getsockname()[1])
        mode = (tmp_path / "there").stat().st_mode
        assert pool.verify_answers([(Problem("p", "q", "5", "test"), code)]) == [Outcome.CRASH]
        server.setblocking(False)
        with raises(BlockingIOError):
            server.accept()
    assert unchanged(tmp_path) and (tmp_path / "there").stat().st_mode == mode


def test_it_reads_what_it_declares(tmp_path: Path) -> None:
    with opened(Confinement(read=(str(tmp_path),))) as run:
        assert run(prepared("assert open(FOLDER + '/there').read() == 'there'", tmp_path)) is Outcome.CORRECT
        assert run(prepared(HARMFUL["append"], tmp_path)) is Outcome.CRASH
    assert unchanged(tmp_path)


def test_it_writes_where_it_declares(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with opened(Confinement(write=(str(tmp_path / "own"),))) as run:
        own = "import os, pathlib\nfolder = pathlib.Path(FOLDER, 'own'); (folder / 'deep').mkdir(); (folder / 'deep' / 'a').write_text('x')\n"
        assert (
            run(prepared(own + "os.rename(folder / 'deep' / 'a', folder / 'deep' / 'b'); assert (folder / 'deep' / 'b').exists()", tmp_path))
            is Outcome.CORRECT
        )
        assert run(prepared(HARMFUL["write"], tmp_path)) is Outcome.CRASH
    assert sorted(os.listdir(tmp_path)) == ["own", "there"]


def test_it_has_the_temporary_folder_that_it_declares(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    write = "import os, pathlib, shutil, tempfile\nfolder = pathlib.Path(tempfile.mkdtemp()); (folder / 'a').write_text('x')\n"
    with opened(Confinement(scratch=True)) as run:
        assert run(write + "os.rename(folder / 'a', folder / 'b'); shutil.rmtree(folder)") is Outcome.CORRECT
        assert run(f"open({str(tmp_path)!r} + '/new', 'w')") is Outcome.CRASH
        assert run(write + "(folder / 'big').write_bytes(bytes(65 << 20))") is Outcome.CRASH
    assert not os.listdir(tmp_path), "the folder goes with the pool"


@mark.parametrize("processes", [False, True])
def test_it_connects_if_it_declares_the_network(processes: bool, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, opened(Confinement(network=True, processes=processes)) as run:
        assert run(prepared(HARMFUL["connect"], tmp_path, server.getsockname()[1])) is Outcome.CORRECT
        server.accept()[0].close()
        assert run(prepared(HARMFUL["write"], tmp_path)) is Outcome.CRASH
        assert run("import socket; assert socket.getaddrinfo('localhost', 80)") is Outcome.CORRECT


def test_it_sees_the_variables_that_it_declares(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "s3cret")
    monkeypatch.setenv("OTHER_KEY", "s3cret")
    with opened(Confinement(environment=("API_KEY",))) as run:
        assert run("import os; assert os.environ['API_KEY'] == 's3cret' and 's3cret' not in [os.environ.get('OTHER_KEY')]") is Outcome.CORRECT


PROGRAMS = {"page memory out", "start a program", "fork", "replace itself", "local socket", "signal its parent", "raise a limit"}


@mark.parametrize("what", sorted(HARMFUL.keys() - PROGRAMS - {"read a secret"}))
def test_programs_that_it_may_start_get_no_further(what: str, starter: Callable[[str], Outcome], tmp_path: Path) -> None:
    code = prepared(HARMFUL[what], tmp_path)
    started = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {code!r}], check=True)"
    assert starter(started) is Outcome.CRASH
    assert unchanged(tmp_path)


def test_it_starts_programs_if_it_declares_them(starter: Callable[[str], Outcome]) -> None:
    assert (
        starter("import subprocess; assert subprocess.run(['/bin/echo', 'x'], capture_output=True, check=True).stdout == b'x\\n'") is Outcome.CORRECT
    )


@fixture(scope="module")
def starter() -> Iterator[Callable[[str], Outcome]]:
    with opened(Confinement(processes=True)) as run:
        yield run


UNPRIVILEGED = [
    "write",
    "truncate",
    "change its mode",
    "change its dates",
    "read accounts",
    "write to the temporary folder",
    "connect",
    "listen",
    "local socket",
]


@mark.parametrize("what", [*UNPRIVILEGED, "fork", "start a program", "signal its parent", "raise a limit", "page memory out"])
def test_a_verifier_may_keep_all_rights(what: str, free: Callable[[str], Outcome], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert free(prepared(HARMFUL[what], tmp_path, server.getsockname()[1])) is Outcome.CORRECT


@fixture(scope="module")
def free() -> Iterator[Callable[[str], Outcome]]:
    with opened(Confinement(when="never")) as run:
        yield run


def test_an_old_kernel_is_told_apart(monkeypatch: MonkeyPatch, caplog: LogCaptureFixture) -> None:
    # A system call that no kernel knows, as an old kernel does not know those of Landlock.
    bootstrap = "selfimprove.verification.fork_server.BOOTSTRAP"
    monkeypatch.setattr(
        bootstrap,
        "import sys; sys.path[:] = sys.argv[2:]; from selfimprove.verification.confined import landlock; landlock.CREATE_RULESET = 9999; "
        + BOOTSTRAP,
    )
    with raises(UserError, match="the verifier gullible may evaluate answers as code, and this machine lacks Landlock to confine it"):
        VerifierPool(Gullible(Confinement(when="always"))).open()
    with caplog.at_level(logging.WARNING), opened(Confinement()) as run:
        assert run("1") is Outcome.CORRECT
        assert run("import os; os.fork()") is Outcome.CRASH
    assert "the verifier gullible is not fully confined: this machine lacks Landlock" in caplog.text


def test_a_failure_says_that_the_verifier_is_confined(pool: OpenVerifierPool, caplog: LogCaptureFixture) -> None:
    pool.verify_answers([(Problem("p", "q", "5", "test"), "open('/etc/hostname')")])
    assert "PermissionError: [Errno 13] Permission denied: '/etc/hostname'; it is confined: declare what it needs in `confinement`" in caplog.text


def test_declarations_that_make_no_sense_are_refused() -> None:
    for wrong in ({"when": "sometimes"}, {"memory": 1}, {"internet": True}):
        with raises(ValidationError):
            Confinement(**wrong)  # type: ignore[arg-type]


def test_rights_of_a_folder_are_not_asked_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.close(landlock.ruleset([(str(tmp_path / "file"), landlock.READ | landlock.WRITE), ("/no/such/path", landlock.READ)]))
