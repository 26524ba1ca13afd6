"""Ids, texts, names and paths full of control characters: every command shows them as codes, its JSON parses to the same, and MLflow takes them."""

from __future__ import annotations

import io
import json
import sqlite3
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from command import run_command
from rich.console import Console
from toy import make_toy_model

from selfimprove.records import Problem
from selfimprove.storage.files import read_json
from selfimprove.terminal.progress import TerminalProgress

HOSTILE = "\x1b]0;owned\x07\x1b[31m\x00\x7f\x9b31m\u202e\u2066\u200b\ufeff\U000e0041\u2028\rforged\nselfimprove: all is well [red]<b>"
IN_A_PATH = HOSTILE.replace("\x00", "").replace("/", "")[:60]
WORKFLOW = """
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from selfimprove import AlwaysPromote, Exact
from selfimprove.records import Decision, Problem
from toy import Sums, ToySampler, toy_workflow
HOSTILE = {hostile!r}

@dataclass(frozen=True)
class Odd(Sums):
    note: str = HOSTILE

    def load(self):
        asked = HOSTILE.replace("0", "").replace("31", "")
        return [Problem(f"{{one.id}}{{HOSTILE}}", one.question + asked, one.answer, f"odd:{{HOSTILE}}") for one in super().load()]

@dataclass(frozen=True)
class Garbled(ToySampler):
    options: dict[str, Any] = field(default_factory=dict)

    def sample(self, checkpoint, requests):
        for (one,) in super().sample(checkpoint, requests):
            text = one.text.replace("<think>", "<think>" + HOSTILE)
            yield [replace(one, text=text + HOSTILE, finish_reason=HOSTILE) if text.endswith("-1") else replace(one, text=text)]

@dataclass(frozen=True)
class Loud:
    def decide(self, champion, candidate):
        return Decision(True, HOSTILE)

@dataclass(frozen=True)
class Named(Exact):
    @property
    def name(self):
        return HOSTILE

    @property
    def version(self):
        return HOSTILE

workflow = toy_workflow(
    Path({model!r}), problems=Odd(), sampler=Garbled(options={{HOSTILE: HOSTILE}}), gate=Loud(), verifier=Named(),
    contamination=None, first_prompter=None, generations=1,
)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "hostile.py"
    file.write_text(WORKFLOW.format(hostile=HOSTILE, model=str(make_toy_model(tmp_path / "model", 0.5))))
    return file


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command, requires its exit code, and returns what it printed: no character of that is obeyed by a terminal or hidden."""

    def run(code: int, *arguments: object) -> str:
        out, err = run_command(capfd, code, *arguments)
        obeyed = {sign for sign in out + err if sign != "\n" and unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert not obeyed, arguments
        # A question may have several lines, anything else has one.
        assert arguments[0] == "traces" or "\nselfimprove: all is well" not in out + err
        return out + err if code else out

    return run


def test_every_command_shows_codes(file: Path, tmp_path: Path, command: Callable[..., str], untracked: None) -> None:
    run = tmp_path / IN_A_PATH
    assert "\\x1b]0;owned\\x07" in command(0, "settings", file)
    listed = json.loads(command(0, "settings", file, "--json"))["settings"]
    values = {one["path"]: one["value"] for one in listed}
    assert values["sampler.options"] == {HOSTILE: HOSTILE} and values["problems.note"] == HOSTILE
    assert "\\x1b]0;owned" in command(0, "run", file, "--inline", "--run-dir", run)
    assert json.loads(command(0, "report", run, "--json"))["generations"][1]["why"] == HOSTILE
    assert "\\u202e" in command(0, "report", run)
    problems = read_json(run / "problems" / "train.json", list[Problem])
    found = json.loads(command(0, "traces", run, "--json", "--limit", 1, "--outcome", "wrong"))["traces"]
    assert found[0]["problem_id"] in {one.id for one in problems} and found[0]["finish_reason"] == HOSTILE
    assert "\\x9b31m" in command(0, "traces", run, "--limit", 3)
    page = tmp_path / f"{IN_A_PATH}.html"
    for line in (("audit", run, "--with", "exact"), ("reverify", run), ("report", run, "--html"), ("report", run, "--html", page)):
        command(0, *line)
        json.loads(command(0, *line, "--json"))
    for line in (
        ("traces", run, "--problem", problems[0].id.replace("owned", "owner").replace("\0", "")),
        ("traces", run, "--outcome", IN_A_PATH),
        ("report", tmp_path / f"no{IN_A_PATH}"),
        ("run", tmp_path / f"no{IN_A_PATH}"),
        ("run", file, "--inline", "--set", f"{IN_A_PATH}={IN_A_PATH}"),
        ("export", tmp_path / IN_A_PATH, tmp_path / "model"),
        (IN_A_PATH,),
        ("run", file, f"--{IN_A_PATH}"),
    ):
        assert command(2, *line).count("\n") == 1
    assert not {"\x1b", "\x9b", "\u202e"} & set((run / "logs" / "driver.log").read_text())


def test_a_bar_shows_codes() -> None:
    screen = io.StringIO()
    progress = TerminalProgress(Console(file=screen, force_terminal=True, width=300, color_system=None, legacy_windows=False))
    progress.begin(HOSTILE, 3)
    progress.advance(1)
    progress.end()
    progress.say(HOSTILE)
    text = screen.getvalue()
    assert "\\x1b]0;owned\\x07" in text and "[red]<b>" in text
    # Its own cursor movements stay.
    assert not {"\x07", "\x9b", "\u202e", "\x00"} & set(text) and "\x1b]" not in text and "forged\n" not in text


@pytest.mark.slow
def test_mlflow_takes_them(file: Path, tmp_path: Path, command: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    command(0, "run", file, "--inline", "--run-dir", tmp_path / IN_A_PATH)
    assert "could not be sent" not in (tmp_path / IN_A_PATH / "logs" / "driver.log").read_text()
    with sqlite3.connect(store) as connection:
        columns = "select value from tags union select value from params union select value from trace_tags union select key from params"
        values = [value for (value,) in connection.execute(columns)]
    assert any("\\x1b]0;owned" in value for value in values)
    assert not [value for value in values if {"\x00", "\x1b", "\x9b", "\u202e"} & set(value)]
