"""How a program ends when it cannot do its work: one line that says why, and an exit code."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from selfimprove.errors import UserError, WorkerFailed
from selfimprove.errors.redaction import redact
from selfimprove.terminal.closed_output import OutputClosed, noticing_closed_output

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM."""
REFUSED = 2
"""Exit code if the input is wrong or a worker failed."""
UNREAD = 141
"""Exit code if the reader closes the output, as `| head` does: that of a program that SIGPIPE ends."""


def one_line(error: Exception) -> str:
    """The error's message as one printable line without secrets."""
    from selfimprove.terminal.safe_text import plain_line

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" for {plain_line(str(error.filename))}" if error.filename else ""
        return f"no space left{place}: free some; the same command continues where it stopped"
    return plain_line(redact(" ".join(str(error).split()))) or type(error).__name__


def hide_secrets_in_tracebacks() -> None:
    """From now on, the traceback of an exception that ends this process is printed without secrets."""
    sys.excepthook = _print_traceback


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    from selfimprove.terminal.safe_text import plain_text

    print(plain_text(redact("".join(traceback.format_exception(kind, error, trace)))), end="", file=sys.stderr)


def ended_by(error: SystemExit) -> str:
    """Which line of which file ended the program in the middle of its work, with `sys.exit` or alike, and what to do."""
    from selfimprove.terminal.safe_text import plain_line

    # `exit` is a function of the standard library.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "_sitebuiltins" not in frame.filename]
    where = f"{plain_line(frames[-1].filename)}, line {frames[-1].lineno}: " if frames else ""
    return f"{where}a part ends the program (sys.exit or exit) before the work is done; raise an exception instead"


@contextmanager
def in_one_line(name: str) -> Iterator[None]:
    """End a script as the command line does: errors that the user can fix, and Ctrl-C, print one line instead of a traceback."""
    hide_secrets_in_tracebacks()
    try:
        with noticing_closed_output():
            yield
    except OutputClosed:
        sys.exit(UNREAD)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command continues where it stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except (UserError, WorkerFailed, OSError) as error:
        print(f"{name}: {one_line(error)}", file=sys.stderr)
        sys.exit(REFUSED)
    except SystemExit as error:
        print(f"{name}: {ended_by(error)}", file=sys.stderr)
        sys.exit(REFUSED)
