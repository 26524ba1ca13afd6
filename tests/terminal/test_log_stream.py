"""Logs hold no secrets, whoever writes to them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

from selfimprove.terminal.captured_output import capture_output
from selfimprove.terminal.log_stream import LogStream, redact_log

ADDRESS = "http://user:Zq7/secret@host/v1?key=Zq7"


def test_what_is_printed_in_pieces_is_redacted(tmp_path: Path) -> None:
    with (tmp_path / "log").open("a") as file:
        stream = LogStream(file.fileno())
        print("api_key", "Zq7", sep="=", file=stream)
        stream.write("http://user:")
        stream.write("Zq7@host\nand the re")
        assert (tmp_path / "log").read_text() == "api_key=***\nhttp://host\n"
        stream.write("st \udcff")
        stream.flush()
    assert (tmp_path / "log").read_text() == "api_key=***\nhttp://host\nand the rest \\udcff"


def test_a_captured_log_holds_no_secrets_of_libraries_children_and_native_code(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "driver.log"
    log.parent.mkdir()
    log.write_text("earlier\n")
    with capture_output(log):
        print(f"printed {ADDRESS}")
        print(f"failed {ADDRESS}", file=sys.stderr)
        logging.getLogger("library").warning("warned %s \x1b]0;x\x07", ADDRESS)
        try:
            raise ValueError(ADDRESS)
        except ValueError:
            logging.getLogger("library").exception("raised")
        os.write(1, f"native {ADDRESS}\n".encode() + b"\xff\n")
        subprocess.run([sys.executable, "-c", f"print('child {ADDRESS}')"], check=True)
    text = log.read_bytes().decode(errors="replace")
    assert "Zq7" not in text and "\x1b" not in text
    for word in ("earlier", "printed http://host/v1?key=***", "failed", "warned", "raised", "ValueError: http://host", "native", "child", "\ufffd"):
        assert word in text, word


def test_a_log_without_secrets_is_left_alone_and_a_missing_one_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"token=Zq7\nplain \xff\r\n")
    redact_log(file, begin=len(b"token=Zq7\n"))
    assert file.read_bytes() == b"token=Zq7\nplain \xff\r\n"
    redact_log(file)
    assert file.read_bytes() == b"token=***\nplain \xff\r\n"
    redact_log(tmp_path / "missing.log")
