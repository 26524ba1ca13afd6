"""Access to files by a process and its children, reduced for good (Landlock). Structures follow the Linux header `linux/landlock.h`."""

from __future__ import annotations

import os
import struct

from .kernel import call, libc

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIRECTORY = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIRECTORY, REMOVE_FILE, MAKE_DIRECTORY, MAKE_FILE, TRUNCATE = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 14
READ = READ_FILE | READ_DIRECTORY
WRITE = WRITE_FILE | REMOVE_DIRECTORY | REMOVE_FILE | MAKE_DIRECTORY | MAKE_FILE | TRUNCATE
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
"""The rights that a rule for a single file may name."""
FIRST_VERSION = (1 << 13) - 1
TCP = 0b11
"""Binding and connecting."""
SIGNALS_AND_ABSTRACT_SOCKETS = 0b11


def ruleset(allowed: list[tuple[str, int]], network: bool = False) -> int:
    """The descriptor of a set of rules: what is not allowed is refused. Raises OSError if the kernel lacks Landlock.

    Where the kernel's Landlock knows them, TCP, and signals and abstract sockets to processes outside, are refused as well.

    Args:
        allowed: paths, each with its rights, which cover what a folder holds. Paths that do not exist are left out.
        network: whether TCP stays allowed.
    """
    version = call(libc.syscall, CREATE_RULESET, 0, 0, 1)
    handled = FIRST_VERSION | (TRUNCATE if version >= 3 else 0)
    fields = [handled, 0 if network else TCP, SIGNALS_AND_ABSTRACT_SOCKETS][: 3 if version >= 6 else 2 if version >= 4 else 1]
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    rules = call(libc.syscall, CREATE_RULESET, attributes, len(attributes), 0)
    for path, access in allowed:
        _allow(rules, path, access & handled)
    return rules


def restrict(rules: int) -> None:
    """Apply the rules to this process, which must have given up gaining privileges. Raises OSError if the kernel refuses."""
    call(libc.syscall, RESTRICT_SELF, rules, 0)


def _allow(rules: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):
        access &= OF_FILES
    call(libc.syscall, ADD_RULE, rules, 1, struct.pack("=Qi", access, descriptor), 0)
    os.close(descriptor)
