"""Sends what libraries print to a log file in the run folder instead of the screen."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import TextIO

from rich.console import Console


@contextmanager
def capture_output(file: Path, screen: int = 1) -> Iterator[Console]:
    """Redirect all output of this process to `file` while the block runs, except what is printed on the console it yields.

    `screen` is the descriptor that this console writes to: 1 for standard output, 2 for standard error. Both are restored when the block ends.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ends:
        terminal = ends.enter_context(os.fdopen(os.dup(screen), "w"))
        log = ends.enter_context(file.open("a"))
        handler = logging.StreamHandler(log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
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
        ends.enter_context(redirect_stdout(_writing_to(1)))
        ends.enter_context(redirect_stderr(_writing_to(2)))
        yield Console(file=terminal, force_terminal=None if terminal.isatty() else False)


def _writing_to(descriptor: int) -> TextIO:
    # By number and unbuffered, so that a log handler created inside the block writes to the screen again after it.
    return TextIOWrapper(FileIO(descriptor, "w", closefd=False), write_through=True)


def _flush(stream: TextIO) -> None:
    # If the disk is full, the rest of the output is not worth an error.
    with suppress(OSError):
        stream.flush()
