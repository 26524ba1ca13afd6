"""How a program ends that could not do its work: one line that says why, and an exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from selfimprove.errors import UserError, WorkerFailed

INTERRUPTED = 130
"""The exit code after Ctrl-C or SIGTERM."""
REFUSED = 2
"""The exit code where the input is at fault or a worker failed."""


def one_line(error: Exception) -> str:
    """What the error says, as one printable line."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left{f' for {error.filename}' if error.filename else ''}: free some; the same command continues where it stopped"
    from selfimprove.terminal.safe_text import plain_text

    return plain_text(" ".join(str(error).split())) or type(error).__name__


@contextmanager
def in_one_line(name: str) -> Iterator[None]:
    """Ends a script as the command line does: with a line in place of a traceback where a user can mend what is wrong, and after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command continues where it stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except (UserError, WorkerFailed, OSError) as error:
        print(f"{name}: {one_line(error)}", file=sys.stderr)
        sys.exit(REFUSED)
