"""Calls of the C library that raise OSError when they fail."""

from __future__ import annotations

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)


def call(function: ctypes._NamedFuncPointer, *arguments: int | bytes) -> int:
    """The result of a C function that signals failure by a negative one."""
    wide = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in arguments]
    if (result := int(function(*wide))) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
