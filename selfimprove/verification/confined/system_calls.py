"""Filters of system calls (seccomp) for x86-64 and aarch64.

Numbers and structures follow the Linux headers `asm/unistd_64.h`, `asm-generic/unistd.h`, `linux/filter.h` and `linux/audit.h`.
"""

from __future__ import annotations

import ctypes
import os
import struct

from .kernel import call, libc

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""For each machine: which number of a pair in the tables below is its own, and its number in audit records."""

Calls = dict[str, tuple[int | None, int | None]]
"""Numbers of system calls on x86-64 and on aarch64; None where the machine lacks the call."""

COMPUTING: Calls = {
    # Memory.
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216),
    # Open files.
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65),
    "writev": (20, 66), "pipe": (22, None), "pipe2": (293, 59), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    # File status.
    "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None),
    "faccessat": (269, 48), "faccessat2": (439, 439), "getcwd": (79, 17), "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61),
    # Waiting.
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "sched_yield": (24, 124), "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115), "futex": (202, 98), "epoll_create": (213, None), "epoll_create1": (291, 20), "epoll_wait": (232, None),
    "epoll_pwait": (281, 22), "epoll_ctl": (233, 21), "eventfd2": (290, 19),
    # Its own signals.
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "restart_syscall": (219, 128),
    "pause": (34, None), "alarm": (37, None), "getitimer": (36, 102), "setitimer": (38, 103),
    # Identity and time.
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "uname": (63, 160), "sysinfo": (99, 179), "times": (100, 153), "time": (201, None), "gettimeofday": (96, 169),
    "getrlimit": (97, 163), "getrusage": (98, 165), "sched_getaffinity": (204, 123), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    # Random numbers and exit.
    "getrandom": (318, 278), "exit": (60, 93), "exit_group": (231, 94),
    # A pair of sockets: asyncio wakes itself through one.
    "recvfrom": (45, 207), "shutdown": (48, 210), "getsockname": (51, 204),
}  # fmt: skip
"""What a single-threaded Python program needs to compute."""

THREADS: Calls = {"set_robust_list": (273, 99), "rseq": (334, 293), "set_tid_address": (218, 96), "statfs": (137, 43), "fstatfs": (138, 44)}
"""What numerical libraries need besides."""

OWN_FILES: Calls = {
    "ftruncate": (77, 46), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "fsync": (74, 82), "fdatasync": (75, 83), "flock": (73, 32),
}  # fmt: skip
"""What writing in a folder of its own takes; Landlock decides where."""

NETWORK: Calls = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "sendto": (44, 206), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "sendmmsg": (307, 269), "recvmmsg": (299, 243), "setsockopt": (54, 208), "getsockopt": (55, 209), "getpeername": (52, 205),
}  # fmt: skip
"""What a client of a server needs."""

HARMFUL: Calls = {
    # What Landlock does not cover: attributes of files, and files opened by handle.
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
    "utimensat": (280, 88), "truncate": (76, 45), "creat": (85, None), "open_by_handle_at": (304, 265),
    # Other processes.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438), "kcmp": (312, 272),
    "process_madvise": (440, 440), "setpriority": (141, 140), "sched_setaffinity": (203, 122), "migrate_pages": (256, 238),
    # The machine.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "unshare": (272, 97),
    "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "acct": (163, 89), "quotactl": (179, 60), "syslog": (103, 116), "iopl": (172, None), "ioperm": (173, None),
    # Its requests would pass the filter unseen.
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
}  # fmt: skip
"""What no program that a verifier starts may do."""

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, tuple(range(16, 64, 8))
"""Byte offsets in `struct seccomp_data`; those of the arguments point to their lower halves."""

Conditions = list[tuple[int, int, tuple[int, ...]]]
"""(offset, mask, values): the masked word at the offset must be one of the values."""
Restricted = dict[str, tuple[tuple[int | None, int | None], Conditions]]

# Landlock controls writing, but its first version allows truncating a file that may only be read (O_TRUNC).
NO_TRUNCATION = (0o1003, (0o0, 0o1, 0o2, 0o1001, 0o1002))
OPENING: Restricted = {"openat": ((257, 56), [(ARGUMENTS[2], *NO_TRUNCATION)])}
ADVICE = (0, 1, 2, 3, 4, 8, 14, 15)
"""Hints for its own pages: normal, random, sequential, will need, don't need, free, huge pages or none. Others damage or share the machine's."""
SOLITARY: Restricted = {
    **OPENING,
    "madvise": ((28, 233), [(ARGUMENTS[2], 0xFFFFFFFF, ADVICE)]),
    # Duplicates and flags. Setting an owner (F_SETOWN) would let the kernel signal any process.
    "fcntl": ((72, 25), [(ARGUMENTS[1], 0xFFFFFFFF, (0, 1, 2, 3, 4, 1030))]),
    # Terminal check, non-blocking mode, close on exec. With others, root could change the attributes of a file.
    "ioctl": ((16, 29), [(ARGUMENTS[1], 0xFFFFFFFF, (0x5401, 0x5421, 0x5451))]),
    # Local streams, whose ends reach only each other.
    "socketpair": ((53, 199), [(ARGUMENTS[0], 0xFFFFFFFF, (1,)), (ARGUMENTS[1], 0xFF, (1,))]),
    # Only without an address.
    "sendto": ((44, 206), [(ARGUMENTS[4], 0xFFFFFFFF, (0,)), (ARGUMENTS[4] + 4, 0xFFFFFFFF, (0,))]),
}
THREAD_ONLY: Restricted = {
    # With the flag that makes a thread, never a process.
    "clone": ((56, 220), [(ARGUMENTS[0], 0x10000, (0x10000,))]),
    # Reading its own limits.
    "prlimit64": ((302, 261), [(ARGUMENTS[2], 0xFFFFFFFF, (0,)), (ARGUMENTS[2] + 4, 0xFFFFFFFF, (0,))]),
}
LOCAL_SOCKETS: Restricted = {"socket": ((41, 198), [(ARGUMENTS[0], 0xFFFFFFFF, (1,))])}
OPENING_BY_PATH: Restricted = {"open": ((2, None), [(ARGUMENTS[1], *NO_TRUNCATION)])}

LOAD, AND, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
ALLOW, KILL, REFUSE, NO_SUCH_CALL = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050000 | 38
"""REFUSE sets errno 1, EPERM; NO_SUCH_CALL sets ENOSYS."""
CLONE3 = 435
X32 = 0x40000000
"""Numbers from here on are x86-64's second set of calls."""

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2


def only(*allowed: Calls, restricted: Restricted = SOLITARY) -> bytes:
    """A filter that refuses every system call but these, those yet to be invented included. Raises OSError on an unknown machine."""
    machine, program = _start()
    names = {name: numbers for group in allowed for name, numbers in group.items()}
    for numbers in names.values():
        program += _if_number(numbers[machine], [_instruction(RETURN, ALLOW)])
    for name, (numbers, conditions) in restricted.items():
        if name not in names:
            program += _if_number(numbers[machine], _check(conditions))
    # The C library falls back to `clone`, whose flags a filter can see.
    program += _if_number(CLONE3, [_instruction(RETURN, NO_SUCH_CALL)])
    return b"".join([*program, _instruction(RETURN, REFUSE)])


def all_but(*refused: Calls, restricted: Restricted) -> bytes:
    """A filter that allows every system call but these. Raises OSError on an unknown machine."""
    machine, program = _start()
    program += [_instruction(JUMP_IF_AT_LEAST, X32, 0, 1), _instruction(RETURN, REFUSE)]
    for numbers in (numbers for group in refused for numbers in group.values()):
        program += _if_number(numbers[machine], [_instruction(RETURN, REFUSE)])
    for numbers, conditions in restricted.values():
        program += _if_number(numbers[machine], _check(conditions))
    return b"".join([*program, _instruction(RETURN, ALLOW)])


def install(program: bytes) -> None:
    """Filter the system calls of this process for good. Raises OSError if the kernel refuses."""
    call(libc.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: number of instructions, and their address.
    fprog = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    call(libc.prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog)


def _start() -> tuple[int, list[bytes]]:
    """Which numbers are this machine's, and the first instructions: end a process of another machine's kind."""
    name = os.uname().machine
    if name not in MACHINES:
        raise OSError(f"there is no system call filter for {name}")
    machine, architecture = MACHINES[name]
    checked = [_instruction(LOAD, ARCHITECTURE), _instruction(JUMP_IF_EQUAL, architecture, 1, 0), _instruction(RETURN, KILL)]
    return machine, [*checked, _instruction(LOAD, NUMBER)]


def _if_number(number: int | None, block: list[bytes]) -> list[bytes]:
    """Run the block, which returns, for this system call; a jump states how many instructions to skip."""
    return [] if number is None else [_instruction(JUMP_IF_EQUAL, number, 0, len(block)), *block]


def _check(conditions: Conditions) -> list[bytes]:
    block: list[bytes] = []
    for offset, mask, values in conditions:
        block += [_instruction(LOAD, offset), _instruction(AND, mask)]
        block += [_instruction(JUMP_IF_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
        block += [_instruction(RETURN, REFUSE)]
    return [*block, _instruction(RETURN, ALLOW)]


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
