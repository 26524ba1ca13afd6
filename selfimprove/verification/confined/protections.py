"""Gives up, for ever, what this process has no need of: files, sockets, other processes, memory and time beyond a limit.

The order of a filter's instructions, the numbers of the system calls and the structures are those of the Linux headers
`linux/filter.h`, `asm/unistd_64.h` and `linux/landlock.h`.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys

SIGKILL = 9
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
WRITE_FILE, READ_FILE, READ_DIRECTORY = 1 << 1, 1 << 2, 1 << 3
EVERY_ACCESS = (1 << 13) - 1
"""All that the first version of Landlock knows; what came later is out of reach without the system calls for it."""

SYSTEM_FILES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/urandom", "/dev/zero")

# What a Python program of one thread needs to compute. Whatever is not here fails with EPERM: every way to make a socket, a process, a thread or a
# file, to send a signal, to look into another process, to change a limit, and every system call that is yet to be invented.
ALLOWED = {
    "memory": [9, 10, 11, 12, 25, 28],  # mmap mprotect munmap brk mremap madvise
    "open files": [0, 1, 3, 8, 17, 18, 19, 20, 22, 32, 33, 292, 293],  # read write close lseek pread pwrite readv writev pipe dup dup2 dup3 pipe2
    "what files are": [4, 5, 6, 21, 79, 89, 217, 262, 267, 269, 332, 439],  # stat fstat lstat access getcwd readlink getdents …at statx faccessat2
    "waiting": [7, 23, 24, 35, 202, 213, 230, 232, 233, 270, 271, 281, 290, 291],  # poll select sched_yield nanosleep futex epoll eventfd
    "own signals": [13, 14, 15, 34, 36, 37, 38, 131, 219],  # rt_sig… pause …itimer alarm sigaltstack restart_syscall
    "who and when": [39, 63, 96, 97, 98, 99, 100, 102, 104, 107, 108, 110, 186, 201, 204, 228, 229],  # get…id uname …time getr… sysinfo
    "chance and the end": [60, 231, 318],  # exit exit_group getrandom
    "a pair of sockets": [45, 48, 51],  # recvfrom shutdown getsockname: asyncio wakes itself through a pair
}

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, tuple(range(16, 64, 8))
"""Where `struct seccomp_data` holds what a filter looks at, in bytes; arguments by their lower halves."""

# System calls that are allowed where, for every (place, mask, values), what is at the place under the mask is one of the values.
ALLOWED_WITH: dict[int, list[tuple[int, int, tuple[int, ...]]]] = {
    # openat: Landlock decides on writing, but its first version lets a file that may be read be emptied (O_TRUNC without writing).
    257: [(ARGUMENTS[2], 0o1003, (0o0, 0o1, 0o2, 0o1001, 0o1002))],
    # fcntl: duplicates and flags; setting an owner (F_SETOWN) would let the kernel send signals to any process.
    72: [(ARGUMENTS[1], 0xFFFFFFFF, (0, 1, 2, 3, 4, 1030))],
    # ioctl: is it a terminal, do not block, close on exec; root could change a file's attributes with others.
    16: [(ARGUMENTS[1], 0xFFFFFFFF, (0x5401, 0x5421, 0x5451))],
    # socketpair: local streams, whose ends reach nothing but each other.
    53: [(ARGUMENTS[0], 0xFFFFFFFF, (1,)), (ARGUMENTS[1], 0xFF, (1,))],
    # sendto: without an address.
    44: [(ARGUMENTS[4], 0xFFFFFFFF, (0,)), (ARGUMENTS[4] + 4, 0xFFFFFFFF, (0,))],
}

LOAD, AND, JUMP_IF_EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06
X86_64 = 0xC000003E
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050001
"""The last with errno 1, EPERM."""

libc = ctypes.CDLL(None, use_errno=True)


def confine(parent: int, memory: int, seconds: int) -> None:
    """Take everything away from this process that computing does not need; whatever it runs later cannot get it back.

    Args:
        parent: the process that this one must not outlive.
        memory: bytes of address space.
        seconds: of CPU time; the kernel then ends the process with SIGXCPU.

    Raises:
        OSError: the kernel refuses a protection. Nothing that is not trusted may run then.
    """
    if os.uname().machine != "x86_64":
        raise OSError("the filter of system calls is for x86-64")
    _call(libc.prctl, PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:
        raise OSError("the parent is gone")
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, most = resource.getrlimit(limit)
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (value, value))
    _call(libc.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _confine_files()
    _confine_system_calls()


def _confine_files() -> None:
    """Let only the standard library and shared libraries be read, and nothing be written."""
    handled = struct.pack("Q", EVERY_ACCESS)
    ruleset = _call(libc.syscall, LANDLOCK_CREATE_RULESET, handled, len(handled), 0)
    stdlib, beside = os.path.dirname(os.__file__), f"{sys.base_prefix}/lib"
    # Imports list the folder itself; installed packages below it can be data about the questions.
    _permit(ruleset, stdlib, READ_DIRECTORY)
    modules = [entry.path for entry in os.scandir(stdlib) if entry.name not in ("site-packages", "dist-packages")]
    libraries = [entry.path for entry in os.scandir(beside) if ".so" in entry.name and entry.is_file()] if os.path.isdir(beside) else []
    for path in (*modules, *libraries, *SYSTEM_FILES):
        _permit(ruleset, path, READ_FILE | (READ_DIRECTORY if os.path.isdir(path) else 0))
    _permit(ruleset, os.devnull, READ_FILE | WRITE_FILE)
    _call(libc.syscall, LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _permit(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    _call(libc.syscall, LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", access, place), 0)
    os.close(place)


def _confine_system_calls() -> None:
    program = b"".join(_filter())
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions, and where they are.
    fprog = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    _call(libc.prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog)


def _filter() -> list[bytes]:
    """The filter, one instruction after the other; a jump skips so many of them."""
    program = [_do(LOAD, ARCHITECTURE), _do(JUMP_IF_EQUAL, X86_64, 1, 0), _do(RETURN, KILL), _do(LOAD, NUMBER)]
    for number in (number for group in ALLOWED.values() for number in group):
        program += [_do(JUMP_IF_EQUAL, number, 0, 1), _do(RETURN, ALLOW)]
    for number, conditions in ALLOWED_WITH.items():
        block: list[bytes] = []
        for place, mask, values in conditions:
            block += [_do(LOAD, place), _do(AND, mask)]
            block += [_do(JUMP_IF_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
            block += [_do(RETURN, REFUSE)]
        block += [_do(RETURN, ALLOW)]
        program += [_do(JUMP_IF_EQUAL, number, 0, len(block)), *block]
    return [*program, _do(RETURN, REFUSE)]


def _do(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _call(function: ctypes._NamedFuncPointer, *arguments: int | bytes) -> int:
    wide = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in arguments]
    if (result := int(function(*wide))) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
