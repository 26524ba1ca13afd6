"""What the terminal shows while a stage waits."""

from __future__ import annotations

import io

from rich.console import Console

from selfimprove.terminal.progress import TerminalProgress


def test_in_a_terminal_the_reason_for_waiting_goes_with_the_next_item() -> None:
    screen = io.StringIO()
    progress = TerminalProgress(Console(file=screen, force_terminal=True, width=120))
    progress.wait("no stage has begun")
    progress.begin("generation 1", 10)
    progress.wait("starting vLLM")
    progress.stop()
    assert "starting vLLM" in screen.getvalue() and "no stage" not in screen.getvalue()
    screen.truncate(0)
    progress.begin("generation 1", 10)
    progress.wait("starting vLLM")
    progress.advance(3, tokens=30)
    progress.stop()
    assert screen.getvalue().rindex("3/10") > screen.getvalue().find("starting vLLM")


def test_elsewhere_the_reason_for_waiting_is_a_line() -> None:
    screen = io.StringIO()
    progress = TerminalProgress(Console(file=screen, force_terminal=False, width=120))
    progress.begin("generation 1", 10)
    progress.wait("starting vLLM")
    assert screen.getvalue() == "generation 1: starting vLLM\n"
