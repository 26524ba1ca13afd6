"""Keeps what libraries print off the screen: it goes into a file of the run folder."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console


@contextmanager
def noise_into(file: Path) -> Iterator[Console]:
    """While the block runs, all output of this process goes into `file`, but for what is printed on the console that it gives."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    screen, errors = os.dup(1), os.dup(2)
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    try:
        with file.open("a") as log, os.fdopen(os.dup(screen), "w") as terminal:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            yield Console(file=terminal, force_terminal=None if os.isatty(screen) else False)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(screen, 1)
        os.dup2(errors, 2)
        os.close(screen)
        os.close(errors)
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
        handler.close()
