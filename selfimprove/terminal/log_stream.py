"""Logs without secrets: a stream that redacts what this process prints, and what redacts the rest afterwards."""

from __future__ import annotations

import logging
import os
from io import FileIO, TextIOWrapper
from pathlib import Path

from selfimprove.errors.redaction import redact
from selfimprove.terminal.safe_text import plain_text


class LogStream(TextIOWrapper):
    """Text for a descriptor, which stays open. Complete lines are written at once, redacted; the rest with its line, or at a flush."""

    def __init__(self, descriptor: int) -> None:
        # By number and unbuffered, so that what is written reaches whatever the descriptor stands for at that moment.
        super().__init__(FileIO(descriptor, "w", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True)
        self._begun = ""

    def write(self, text: str) -> int:
        """Take the text; lines that it completes are written."""
        lines, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline:
            super().write(redact(lines + newline))
        return len(text)

    def flush(self) -> None:
        """Write an incomplete line too."""
        if self._begun:
            begun, self._begun = self._begun, ""
            super().write(redact(begun))
        super().flush()


class LogFormatter(logging.Formatter):
    """Lines with time, level and logger, redacted and without control characters."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, with its traceback if it has one."""
        return plain_text(redact(super().format(record)))


def log_file() -> Path | None:
    """The file that this process and its children write their standard error to; None if it goes to no file, or the system does not tell."""
    try:
        file = Path(os.readlink("/proc/self/fd/2"))
    except OSError:
        return None
    return file if file.is_file() else None


def redact_log(file: Path, begin: int = 0) -> None:
    """Redact what stands in a log from byte `begin` on: child processes and native code write there without a `LogStream`.

    The file is changed in place, since others may have it open; nobody may write to it meanwhile.
    """
    try:
        with file.open("r+b") as log:
            log.seek(begin)
            text = log.read().decode(errors="surrogateescape")
            if (clean := redact(text)) != text:
                log.seek(begin)
                log.write(clean.encode(errors="surrogateescape"))
                log.truncate()
    except OSError:
        # It was removed, or lies on a full disk.
        return
