"""The line that a script prints when it fails, and its exit code."""

from __future__ import annotations

import pytest

from selfimprove import UserError
from selfimprove.errors import WorkerFailed
from selfimprove.terminal.exit_codes import in_one_line


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("no run\nhere"), 2, "script: no run here\n"),
        (WorkerFailed("the sampler stopped responding"), 2, "script: the sampler stopped responding\n"),
        (OSError(28, "No space left on device", "rows.parquet"), 2, "script: no space left for rows.parquet: "),
        (KeyboardInterrupt(), 130, "script: interrupted; "),
    ],
)
def test_a_script_that_cannot_continue_says_why_in_one_line(error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, in_one_line("script"):
        raise error
    said = capsys.readouterr().err
    assert ended.value.code == code and said.startswith(line) and said.count("\n") == 1


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), in_one_line("script"):
        raise ZeroDivisionError
