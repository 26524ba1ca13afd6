"""Why a vLLM engine does not start, in one line; the rest goes to the log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from selfimprove.errors import UserError
from selfimprove.sampling.engine_sleep import OPTION, holders
from selfimprove.terminal.log_stream import log_file

LONGEST = 300
"""Characters of a cause that are told."""

_PREFIX = re.compile(r"^(\([^()]*pid=\d+\) ?)?((DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d [\d:.]+ \[[^\]]*\] ?)?")
"""What vLLM writes before each line: the process, and the time and place of a record."""
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit):\s+(?P<message>\S.*)", re.MULTILINE)
"""The line of a traceback with the error. Its message may begin on the next line."""
_ELSEWHERE = re.compile(r"see root cause above|exception in a background process|see stack trace|check the logs for more", re.IGNORECASE)
"""What vLLM says where another process knows the cause."""
_ENDED = re.compile(r"'(\w+)': (-?\d+)")
_KILLED = -9

log = logging.getLogger(__name__)


@contextmanager
def failure_in_one_line() -> Iterator[None]:
    """Turn a failure to start an engine in the block into one line with its last cause.

    Raises:
        UserError: the engine did not start. Names the log that holds everything, and for want of GPU memory who holds it.
    """
    file = log_file()
    begin = file.stat().st_size if file else 0
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        log.exception("vLLM does not start")
        cause = last_cause(error, _written(file, begin))
        advice = (
            f"; its GPU is held by {held}: end what should not be there, or lower {OPTION}"
            if "memory" in cause.lower() and (held := holders())
            else ""
        )
        raise UserError(f"vLLM cannot start: {cause}{advice}" + (f"; see {file}" if file else "")) from error


def last_cause(error: BaseException, written: str = "") -> str:
    """What went wrong at the end of a chain of failures, in a line of at most `LONGEST` characters.

    Args:
        written: What the engine's processes wrote since it was started. They know the cause of an error that only says that there was one.
    """
    told = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        told = first["msg"].removeprefix("Value error, ")
        told = told if first["type"] == "value_error" else f"{'.'.join(map(str, first['loc']))}: {told}"
    if _ELSEWHERE.search(told):
        lines = "\n".join(_PREFIX.sub("", line) for line in written.splitlines())
        found = [match["message"] for match in _RAISED.finditer(lines) if not _ELSEWHERE.search(match["message"])]
        told = found[-1] if found else told if isinstance(error, ValidationError) else _ending(told)
    line = " ".join(told.split()) or type(error).__name__
    if isinstance(error, KeyError | OSError) or len(line) < 12:
        line = f"{type(error).__name__}: {line}"
    return line if len(line) <= LONGEST else f"{line[:LONGEST].rsplit(' ', 1)[0]} …"


def _ending(told: str) -> str:
    """How the processes that vLLM names ended."""
    ended = [(name, int(code)) for name, code in _ENDED.findall(told)]
    if any(code == _KILLED for _, code in ended):
        return "its process was killed, which is what Linux does to one that wants more memory than the machine or its container has"
    ways = (f"signal {-code}" if code < 0 else f"exit code {code}" for _, code in ended)
    return f"its process ended ({', '.join(ways)}) before it was ready" if ended else "its process ended before it was ready"


def _written(file: Path | None, begin: int) -> str:
    if file is None:
        return ""
    with file.open("rb") as stream:
        stream.seek(begin)
        return stream.read().decode(errors="replace")
