"""Runs a command in this process."""

from __future__ import annotations

import pytest

from selfimprove.__main__ import main


def run_command(capfd: pytest.CaptureFixture[str], code: int, *arguments: object) -> tuple[str, str]:
    """What a command printed to standard output and standard error; its exit code must be `code`."""
    capfd.readouterr()
    try:
        status: object = main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = end.code
    out, err = capfd.readouterr()
    assert status == code, out + err
    return out, err
