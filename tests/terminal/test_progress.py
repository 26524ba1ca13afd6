"""The progress display: one stage, or two at once from two threads."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path

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


def test_rates_are_left_out_until_there_are_some_and_slow_ones_are_seconds_per_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLAIN_SECONDS", 0.0)
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = TerminalProgress(Console(file=(shown := io.StringIO()), width=120))

    def lines_of(work: Callable[[], None]) -> list[str]:
        shown.truncate(shown.seek(0))
        work()
        return shown.getvalue().splitlines()

    def train() -> None:
        progress.begin("training", 0)
        progress.advance(0)
        for _ in range(2):
            now[0] += 25.0
            progress.advance(1, tokens=10, total=30, loss=0.5)
        progress.end()

    assert lines_of(train) == [
        "training: 0/?",
        "training: 1/30, 25.0 s/step, 2 s/token, loss 0.500, 12 min left",
        "training: 2/30, 25.0 s/step, 2 s/token, loss 0.500, 12 min left",
        "training: 2 in 50 s, 25.0 s/step, 2 s/token, loss 0.500",
    ]

    def sample() -> None:
        progress.begin("sampling", 1002)
        progress.wait("starting vLLM")
        now[0] += 60.0
        progress.advance(2, tokens=40, accepted=1)
        now[0] += 1.0
        progress.advance(100, tokens=2000, accepted=40)
        progress.end()

    assert lines_of(sample) == [
        "sampling: starting vLLM",
        "sampling: 2/1,002, 1 correct",
        "sampling: 102/1,002, 100.0 traces/s, 2,000 tokens/s, 41 correct, 9 s left",
        "sampling: 102 in 61 s, 1.7 traces/s, 33 tokens/s, 41 correct",
    ]

    def score() -> None:
        progress.begin("scoring", 0)
        progress.end()

    assert lines_of(score) == ["scoring: 0 in 0 s"]


def test_the_file_has_a_line_of_each_stage_at_work(tmp_path: Path) -> None:
    file = tmp_path / "progress.txt"
    progress = TerminalProgress(Console(file=io.StringIO()), file)
    progress.begin("generation 1, sampling", 10)
    assert file.read_text() == "generation 1, sampling: starting\n"
    progress.wait("starting vLLM")
    assert file.read_text() == "generation 1, sampling: starting vLLM\n"
    progress.end()
    assert file.read_text() == ""


def test_a_narrow_terminal_shows_the_time_left_once_the_rate_tells_it() -> None:
    shown = io.StringIO()
    progress = TerminalProgress(Console(file=shown, width=80, force_terminal=True))
    progress.begin("few-shot base, evaluation", 2250)
    progress.advance(40, tokens=400, accepted=10)
    assert " left" not in shown.getvalue()
    progress.advance(80, tokens=800, accepted=20)
    progress.stop()
    assert " s left" in shown.getvalue() and "…" not in shown.getvalue()
