"""The progress display: one stage, or two at once from two threads."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from selfimprove.terminal import progress as module
from selfimprove.terminal.progress import TerminalProgress


def beside(work: object) -> None:
    thread = threading.Thread(target=work)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_two_stages_at_once_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLAIN_SECONDS", 0.0)
    shown = io.StringIO()
    progress = TerminalProgress(Console(file=shown, width=120))

    def sample() -> None:
        progress.begin("generation 2, sampling", 10)
        progress.advance(4, tokens=40, accepted=3)
        progress.end()

    progress.begin("generation 1, training", 2)
    progress.advance(1, tokens=100, loss=0.5)
    beside(sample)
    progress.advance(1, tokens=100, loss=0.25)
    progress.end()
    lines = shown.getvalue().splitlines()
    assert lines[0].startswith("generation 1, training: 1/2, ") and lines[1].startswith("generation 2, sampling: 4/10, ")
    assert lines[2].startswith("generation 2, sampling: 4 in ") and lines[2].endswith("3 correct")
    assert lines[-1].startswith("generation 1, training: 2 in ") and lines[-1].endswith("loss 0.250")


def test_a_terminal_shows_two_bars_and_then_one() -> None:
    shown = io.StringIO()
    progress = TerminalProgress(Console(file=shown, width=120, force_terminal=True))

    def sample() -> None:
        progress.begin("generation 2, sampling", 10)
        progress.advance(4)
        assert progress._bars is not None
        assert [task.description for task in progress._bars.tasks] == ["generation 1, training", "generation 2, sampling"]
        progress.end()

    progress.begin("generation 1, training", 2)
    beside(sample)
    assert progress._bars is not None
    assert [task.description for task in progress._bars.tasks] == ["generation 1, training"]
    progress.end()
    assert progress._bars is None and "generation 1, training: 0 in" in shown.getvalue()


def test_a_display_that_was_stopped_takes_what_still_comes() -> None:
    progress = TerminalProgress(Console(file=io.StringIO(), width=120, force_terminal=True))
    progress.begin("generation 2, sampling", 10)
    progress.stop()
    progress.advance(3)
    progress.end()
