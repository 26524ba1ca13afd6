"""Sends what libraries print to a log file in the run folder instead of the screen."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import TextIO

from rich.console import Console

from selfimprove.terminal.log_stream import LogFormatter, LogStream, redact_log


@contextmanager
def capture_output(file: Path, screen: int = 1) -> Iterator[Console]:
    """Redirect all output of this process to `file` while the block runs, except what is printed on the console it yields.

    The file gets no secrets; what comes from child processes and native code is redacted when the block ends.

    `screen` is the descriptor that this console writes to: 1 for standard output, 2 for standard error. Both are restored when the block ends.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ends:
        terminal = ends.enter_context(os.fdopen(os.dup(screen), "w"))
        log = ends.enter_context(file.open("a"))
        ends.callback(redact_log, file, os.fstat(log.fileno()).st_size)
        handler = logging.StreamHandler(log)
        handler.setFormatter(LogFormatter())
        logging.getLogger().addHandler(handler)
        ends.callback(logging.getLogger().removeHandler, handler)
        logging.captureWarnings(True)
        ends.callback(logging.captureWarnings, False)
        for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
            stream.flush()
            saved = os.dup(descriptor)
            ends.callback(os.close, saved)
            ends.callback(os.dup2, saved, descriptor)
            ends.callback(_flush, stream)
            os.dup2(log.fileno(), descriptor)
        # In a notebook or a test, `sys.stderr` is not descriptor 2, and what is written to it would still reach the screen.
        for redirect, descriptor in ((redirect_stdout, 1), (redirect_stderr, 2)):
            # A log handler that is created inside the block writes to the screen again after it.
            ours = LogStream(descriptor)
            ends.callback(_flush, ours)
            ends.enter_context(redirect(ours))
        yield Console(file=terminal, force_terminal=None if terminal.isatty() else False)


def _flush(stream: TextIO) -> None:
    # If the disk is full, the rest of the output is not worth an error.
    with suppress(OSError):
        stream.flush()
