"""Confines the workers of a pool: a verifier computes and reads installed packages; it does nothing else that it has not declared."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from selfimprove.protocols import Confinement
from selfimprove.verification.confined import kernel, landlock, protections, system_calls

CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUSER = 0x40000000, 0x08000000, 0x10000000
MOST_FILES = 256
LARGEST_FILE = 1 << 26
"""Bytes of a file in the folder of its own."""
NOT_CONFINED = 77
"""Exit status of a trial process that could not be confined."""

MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu", "/sys/fs/cgroup/cpu.max")
"""What numerical libraries read about the machine."""
PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/localtime")
NAMES = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/pki",
    "/usr/share/ca-certificates",
)
"""What finding a server and trusting its certificate takes."""

KEPT = {
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LANGUAGE",
    "TZ",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
}
KEPT_PREFIXES = ("LC_", "PYTHON", "OMP_", "OPENBLAS_", "MKL_")


@dataclass(frozen=True)
class Protections:
    """Everything that confines a worker, made once by the fork server."""

    rules: int | None
    """Descriptor of Landlock's rules; None if the kernel lacks Landlock."""
    program: bytes | None
    """The filter of system calls; None on a machine without a table of them."""
    limits: dict[int, int]

    @classmethod
    def of(cls, wanted: Confinement, scratch: str | None) -> Protections:
        """For a verifier that is loaded in this process."""
        rules = program = None
        with contextlib.suppress(OSError):
            rules = landlock.ruleset(list(_files(wanted, scratch)), wanted.network)
        with contextlib.suppress(OSError):
            program = _filter(wanted)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits = {resource.RLIMIT_AS: size + (wanted.memory << 20), resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: MOST_FILES}
        if not wanted.processes:
            limits[resource.RLIMIT_FSIZE] = LARGEST_FILE if wanted.scratch or wanted.write else 0
        return cls(rules, program, limits)

    def apply(self) -> None:
        """Confine this process for good, as far as the kernel can. Raises OSError if the kernel refuses a protection."""
        protections.limit(self.limits)
        kernel.call(kernel.libc.prctl, system_calls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if self.rules is not None:
            landlock.restrict(self.rules)
            os.close(self.rules)
        if self.program is not None:
            system_calls.install(self.program)

    def missing(self) -> list[str]:
        """Names of the protections that this machine lacks, found by confining a process that ends at once."""
        absent = ["Landlock"] * (self.rules is None) + ["seccomp"] * (self.program is None)
        if absent:
            return absent
        if (trial := os.fork()) == 0:
            try:
                self.apply()
            except OSError:
                os._exit(NOT_CONFINED)
            os._exit(0)
        _, status = os.waitpid(trial, 0)
        return [] if status == 0 else ["seccomp"]


def environment(wanted: Confinement) -> dict[str, str]:
    """The variables that a verifier sees: no keys or tokens, unless it declares them."""
    if wanted.when == "never":
        return dict(os.environ)
    names = KEPT | set(wanted.environment)
    return {name: value for name, value in os.environ.items() if name in names or name.startswith(KEPT_PREFIXES)}


def leave_networks() -> None:
    """Enter a network without any link, where the kernel allows it. This reaches what no filter sees: programs that a verifier starts."""
    unshare = ctypes.CDLL(None).unshare
    user, group = os.geteuid(), os.getegid()
    if unshare(CLONE_NEWNET | CLONE_NEWIPC) == 0 or unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) != 0:
        return
    # In a user namespace of its own, a process keeps its id only by saying so.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _files(wanted: Confinement, scratch: str | None) -> Iterator[tuple[str, int]]:
    yield from protections.NOWHERE
    readable = [*_packages(), *protections.shared_libraries(), *protections.SYSTEM_FILES, *MACHINE, *wanted.read]
    access = landlock.READ
    if wanted.processes:
        readable += [*PROGRAMS, sys.prefix, sys.base_prefix]
        access |= landlock.EXECUTE
    if wanted.network:
        readable += NAMES
    for path in readable:
        yield path, access
    for path in (*wanted.write, *([scratch] if scratch is not None else [])):
        yield path, access | landlock.WRITE


def _packages() -> set[str]:
    """The interpreter's own folders and installed packages; of other places on the path, the packages that are loaded."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {path for path in sys.path if path.rstrip("/").endswith(("site-packages", "dist-packages", "lib-dynload"))}
    for name, module in list(sys.modules.items()):
        if "." not in name and (file := getattr(module, "__file__", None)):
            paths.add(os.path.dirname(file) if hasattr(module, "__path__") else file)
    return {path for path in paths if os.path.exists(path)}


def _filter(wanted: Confinement) -> bytes:
    if wanted.processes:
        sockets = {} if wanted.network else system_calls.LOCAL_SOCKETS
        return system_calls.all_but(system_calls.HARMFUL, restricted={**system_calls.OPENING, **system_calls.OPENING_BY_PATH, **sockets})
    allowed = [system_calls.COMPUTING, system_calls.THREADS]
    allowed += [system_calls.OWN_FILES] if wanted.scratch or wanted.write else []
    allowed += [system_calls.NETWORK] if wanted.network else []
    return system_calls.only(*allowed, restricted={**system_calls.SOLITARY, **system_calls.THREAD_ONLY})
