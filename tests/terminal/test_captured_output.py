"""Whatever libraries print goes to the file, whichever way they print it."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from selfimprove.terminal.captured_output import capture_output


@pytest.mark.parametrize("replaced", [True, False], ids=["sys.stderr is not descriptor 2", "sys.stderr is descriptor 2"])
def test_only_the_console_reaches_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not replaced:
        monkeypatch.setattr(sys, "stderr", open(2, "w", closefd=False))  # noqa: SIM115
    with capture_output(tmp_path / "log") as console:
        print("printed, no end of line", end="")
        print("an error", file=sys.stderr)
        os.write(2, b"from below\n")
        logging.getLogger("library").warning("a warning")
        handler = logging.StreamHandler()
        console.print("a line")
    assert capfd.readouterr() == ("a line\n", "")
    noise = (tmp_path / "log").read_text()
    assert all(text in noise for text in ("printed, no end of line", "an error\n", "from below\n", "WARNING library: a warning\n"))
    handler.emit(logging.makeLogRecord({"msg": "afterwards"}))
    assert capfd.readouterr().err == "afterwards\n"
    assert "afterwards" not in (tmp_path / "log").read_text()
