"""Keeps what libraries print off the screen: it goes into a file of the run folder."""

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
def noise_into(file: Path, screen: int = 1) -> Iterator[Console]:
    """While the block runs, all output of this process goes into `file`, but for what is printed on the console that it gives.

    `screen` is where that console writes: 1 for standard output, 2 for standard error. However the block ends, both are as before.
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
        # Where `sys.stderr` is not descriptor 2 (a notebook, a test), what is written to it would pass by.
        ends.enter_context(redirect_stdout(_writing_to(1)))
        ends.enter_context(redirect_stderr(_writing_to(2)))
        yield Console(file=terminal, force_terminal=None if terminal.isatty() else False)


def _writing_to(descriptor: int) -> TextIO:
    # By number and unbuffered: a log handler that took it within the block writes to the screen again afterwards.
    return TextIOWrapper(FileIO(descriptor, "w", closefd=False), write_through=True)


def _flush(stream: TextIO) -> None:
    # Where the disk is full, what is left of the noise is not worth an error.
    with suppress(OSError):
        stream.flush()
