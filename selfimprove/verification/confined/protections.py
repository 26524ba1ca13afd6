"""Takes away, for good, what this process does not need: files, sockets, other processes, and memory and time beyond a limit."""

from __future__ import annotations

import os
import resource
import sys

from . import landlock, system_calls
from .kernel import call, libc

TYPE_CHECKING = False  # Importing it from `typing` takes as long as everything else here.
if TYPE_CHECKING:
    from collections.abc import Iterator

SIGKILL = 9
PR_SET_PDEATHSIG = 1

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
SYSTEM_FILES = ("/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/urandom", "/dev/zero")


def confine(parent: int, memory: int, seconds: int) -> None:
    """Take away everything that computing does not need. Nothing this process runs later can undo it.

    Args:
        parent: id of the process that this one must not outlive.
        memory: bytes of address space.
        seconds: CPU time, after which the kernel ends the process with SIGXCPU.

    Raises:
        OSError: the kernel refuses a protection. Run nothing untrusted then.
    """
    call(libc.prctl, PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:
        raise OSError("the parent is gone")
    limit({resource.RLIMIT_AS: memory, resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: 64})
    call(libc.prctl, system_calls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    rules = landlock.ruleset([*_standard_library(), *((path, landlock.READ) for path in (*shared_libraries(), *SYSTEM_FILES)), *NOWHERE])
    landlock.restrict(rules)
    os.close(rules)
    system_calls.install(system_calls.only(system_calls.COMPUTING))


NOWHERE = [(os.devnull, landlock.READ_FILE | landlock.WRITE_FILE)]


def limit(values: dict[int, int]) -> None:
    """Lower the limits of this process, for good."""
    for name, value in values.items():
        _, most = resource.getrlimit(name)
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(name, (value, value))


def shared_libraries() -> Iterator[str]:
    """The system's shared libraries, in its folders for them. Folders of languages beside them, such as `python3`, may hold installed packages."""
    for folder in {os.path.realpath(folder) for folder in (*LIBRARIES, f"{sys.base_prefix}/lib")}:
        if os.path.isdir(folder):
            for entry in os.scandir(folder):
                if ("-linux-" in entry.name) if entry.is_dir() else (".so" in entry.name):
                    yield entry.path


def _standard_library() -> Iterator[tuple[str, int]]:
    """Imports list the folder itself. Installed packages below it stay unreadable: they may hold data about the questions."""
    folder = os.path.dirname(os.__file__)
    yield folder, landlock.READ_DIRECTORY
    for entry in os.scandir(folder):
        if entry.name not in ("site-packages", "dist-packages"):
            yield entry.path, landlock.READ
