"""Takes away, for good, what this process does not need: files, sockets, other processes, and memory and time beyond a limit.

The filter's instructions, system call numbers and structures follow the Linux headers `linux/filter.h`, `asm/unistd_64.h` and `linux/landlock.h`.
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
"""Every access right of Landlock's first version. Later rights need system calls that the filter refuses."""

SYSTEM_FILES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/urandom", "/dev/zero")

# What a single-threaded Python program needs to compute. Anything else fails with EPERM: creating a socket, process, thread or file, sending a
# signal, inspecting another process, changing a limit, and every system call yet to be invented.
ALLOWED = {
    "memory": [9, 10, 11, 12, 25, 28],  # mmap mprotect munmap brk mremap madvise
    "open files": [0, 1, 3, 8, 17, 18, 19, 20, 22, 32, 33, 292, 293],  # read write close lseek pread pwrite readv writev pipe dup dup2 dup3 pipe2
    "file status": [4, 5, 6, 21, 79, 89, 217, 262, 267, 269, 332, 439],  # stat fstat lstat access getcwd readlink getdents …at statx faccessat2
    "waiting": [7, 23, 24, 35, 202, 213, 230, 232, 233, 270, 271, 281, 290, 291],  # poll select sched_yield nanosleep futex epoll eventfd
    "own signals": [13, 14, 15, 34, 36, 37, 38, 131, 219],  # rt_sig… pause …itimer alarm sigaltstack restart_syscall
    "identity and time": [39, 63, 96, 97, 98, 99, 100, 102, 104, 107, 108, 110, 186, 201, 204, 228, 229],  # get…id uname …time getr… sysinfo
    "random numbers and exit": [60, 231, 318],  # exit exit_group getrandom
    "a pair of sockets": [45, 48, 51],  # recvfrom shutdown getsockname: asyncio wakes itself through a pair
}

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, tuple(range(16, 64, 8))
"""Byte offsets in `struct seccomp_data`; those of the arguments point to their lower halves."""

# System calls that are allowed if, for every (offset, mask, values), the masked word at the offset is one of the values.
ALLOWED_WITH: dict[int, list[tuple[int, int, tuple[int, ...]]]] = {
    # openat: Landlock controls writing, but its first version allows truncating a file that may only be read (O_TRUNC).
    257: [(ARGUMENTS[2], 0o1003, (0o0, 0o1, 0o2, 0o1001, 0o1002))],
    # fcntl: duplicates and flags. Setting an owner (F_SETOWN) would let the kernel signal any process.
    72: [(ARGUMENTS[1], 0xFFFFFFFF, (0, 1, 2, 3, 4, 1030))],
    # ioctl: terminal check, non-blocking mode, close on exec. With others, root could change the attributes of a file.
    16: [(ARGUMENTS[1], 0xFFFFFFFF, (0x5401, 0x5421, 0x5451))],
    # socketpair: local streams, whose ends reach only each other.
    53: [(ARGUMENTS[0], 0xFFFFFFFF, (1,)), (ARGUMENTS[1], 0xFF, (1,))],
    # sendto: only without an address.
    44: [(ARGUMENTS[4], 0xFFFFFFFF, (0,)), (ARGUMENTS[4] + 4, 0xFFFFFFFF, (0,))],
}

LOAD, AND, JUMP_IF_EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06
X86_64 = 0xC000003E
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050001
"""REFUSE sets errno 1, EPERM."""

libc = ctypes.CDLL(None, use_errno=True)


def confine(parent: int, memory: int, seconds: int) -> None:
    """Take away everything that computing does not need. Nothing this process runs later can undo it.

    Args:
        parent: id of the process that this one must not outlive.
        memory: bytes of address space.
        seconds: CPU time, after which the kernel ends the process with SIGXCPU.

    Raises:
        OSError: the kernel refuses a protection. Run nothing untrusted then.
    """
    if os.uname().machine != "x86_64":
        raise OSError("the system call filter is for x86-64")
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
    """Allow reading the standard library and shared libraries only, and no writing."""
    handled = struct.pack("Q", EVERY_ACCESS)
    ruleset = _call(libc.syscall, LANDLOCK_CREATE_RULESET, handled, len(handled), 0)
    stdlib, beside = os.path.dirname(os.__file__), f"{sys.base_prefix}/lib"
    # Imports list the folder itself. Installed packages below it stay unreadable: they may hold data about the questions.
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
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    _call(libc.syscall, LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", access, descriptor), 0)
    os.close(descriptor)


def _confine_system_calls() -> None:
    program = b"".join(_filter())
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: number of instructions, and their address.
    fprog = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    _call(libc.prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog)


def _filter() -> list[bytes]:
    """The instructions of the filter; a jump states how many to skip."""
    program = [_instruction(LOAD, ARCHITECTURE), _instruction(JUMP_IF_EQUAL, X86_64, 1, 0), _instruction(RETURN, KILL), _instruction(LOAD, NUMBER)]
    for number in (number for group in ALLOWED.values() for number in group):
        program += [_instruction(JUMP_IF_EQUAL, number, 0, 1), _instruction(RETURN, ALLOW)]
    for number, conditions in ALLOWED_WITH.items():
        block: list[bytes] = []
        for offset, mask, values in conditions:
            block += [_instruction(LOAD, offset), _instruction(AND, mask)]
            block += [_instruction(JUMP_IF_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
            block += [_instruction(RETURN, REFUSE)]
        block += [_instruction(RETURN, ALLOW)]
        program += [_instruction(JUMP_IF_EQUAL, number, 0, len(block)), *block]
    return [*program, _instruction(RETURN, REFUSE)]


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _call(function: ctypes._NamedFuncPointer, *arguments: int | bytes) -> int:
    wide = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in arguments]
    if (result := int(function(*wide))) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
