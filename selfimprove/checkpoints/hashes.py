"""SHA-256 of files, read as streams. A file that has not changed is read once in a process."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path


def file_hash(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits. It is read again once its size, a time of its last change, or its inode differs.

    Raises:
        OSError: the file cannot be read.
    """
    return _known(signature(file))


def signature(file: Path) -> tuple[str, int, int, int, int]:
    """Path, inode, size, and the times of the last changes of content and of attributes: they distinguish two versions of a file."""
    found = os.stat(file)
    return str(file), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def new_hash(file: Path) -> str:
    """SHA-256 of a file that was just written: versions that are written within one tick of the clock may share a signature."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=1 << 16)
def _known(file: tuple[str, int, int, int, int]) -> str:
    return new_hash(Path(file[0]))
