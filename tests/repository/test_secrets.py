"""Marked secrets, put wherever a user may put one, come out nowhere: no output, no file of a run, nothing in MLflow. The run works with them."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from chat_server import ChatServer, Reply, chat_server, fails, says
from command import run_command
from toy import make_toy_model

from selfimprove.storage.run_folder import RunFolder

MARK = "Zq7Xw9"
"""Part of every secret, and of nothing else."""
ENVIRONMENT = {
    "TEACHER_KEY": "Zq7Xw9-teacher-key",
    "HF_TOKEN": "hf_Zq7Xw9abcdefghijklmnop",
    "AWS_SECRET_ACCESS_KEY": "Zq7Xw9/aws+secret",
    "MLFLOW_TRACKING_PASSWORD": "Zq7Xw9 with spaces",
}
WORKFLOW = '''
"""A run whose parts hold secrets and repeat them wherever they can. Mine: token=Zq7Xw9comment"""
import logging, os, sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from selfimprove import AlwaysPromote, Endpoint, Teacher
from selfimprove.records import Decision
from toy import ToySampler, ToyTrainer, toy_workflow

@dataclass(frozen=True)
class Talkative(ToySampler):
    options: dict[str, Any] = field(default_factory=dict)
    store: str = ""

    def sample(self, checkpoint, requests):
        assert all("q7" in text for text in (self.options["api_key"], self.options["headers"]["Authorization"], self.store))
        print("options", self.options, os.environ["AWS_SECRET_ACCESS_KEY"])
        print(f"store {{self.store}}", file=sys.stderr)
        os.write(2, f"native {{self.store}} {{os.environ['MLFLOW_TRACKING_PASSWORD']}}\\n".encode())
        logging.getLogger("library").warning("HTTP Request: GET %s?sig=Zq7Xw9sig&x=1 with %s", self.store, self.options["headers"])
        yield from super().sample(checkpoint, requests)

@dataclass(frozen=True)
class Chatty:
    password: str = "Zq7Xw9gate"

    def decide(self, champion, candidate):
        return Decision(True, f"as https://me:{{self.password}}@gate/?token=Zq7Xw9why says")

workflow = toy_workflow(
    Path({model!r}),
    sampler=Talkative(
        options={{"api_key": "Zq7Xw9option", "headers": {{"Authorization": "Bearer Zq7Xw9bearer"}}, "hub": os.environ["HF_TOKEN"]}},
        store="s3://AKIAX:Zq7Xw9/store@bucket/x",
    ),
    teacher=Teacher(sampler=Endpoint({url!r}, "m", extra={{"api_key": "Zq7Xw9extra"}}, key_from="TEACHER_KEY", retries=2, concurrency=4)),
    gate=Chatty(),
)
'''


@dataclass
class Place:
    """Where the run with secrets is, and its teacher's server."""

    folder: Path
    server: ChatServer

    @property
    def file(self) -> Path:
        return self.folder / "talkative.py"

    @property
    def run(self) -> Path:
        return self.folder / "run"


def answers(body: dict[str, object], _: int) -> Reply:
    left, right = map(int, re.findall(r"\d+", body["messages"][-1]["content"]))
    return says(f"<think>\n{left} + {right} = {left + right}.\n</think>\n{left + right}")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / "cache"))
    with chat_server(answers) as server:
        found = Place(tmp_path, server)
        found.file.write_text(WORKFLOW.format(model=str(make_toy_model(tmp_path / "model", 0.2)), url=f"{server.url}?key=Zq7Xw9query&api-version=1"))
        yield found


@pytest.fixture
def command(place: Place, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command, requires its exit code, and returns what it printed; nothing of that is secret."""

    def run(code: int, *arguments: object) -> str:
        out, err = run_command(capfd, code, *arguments)
        assert MARK not in out + err, arguments
        return out + err

    return run


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """The content of every file but the workflow that the user wrote, and of every table; and the names of the files."""
    from pyarrow import parquet

    for path in sorted(folder.rglob("*")):
        yield path, str(path.relative_to(folder))
        if path.is_file() and path.name != "talkative.py":
            yield path, path.read_bytes().decode(errors="replace")
        if path.suffix == ".parquet":
            yield path, str(parquet.read_table(path).to_pylist())


def assert_clean(folder: Path) -> None:
    seen = list(texts(folder))
    assert len(seen) > 20
    assert [str(path) for path, text in seen if MARK in text] == []


@pytest.mark.slow
def test_no_command_and_no_file_of_a_run_shows_a_secret(
    place: Place, tiny_model: Path, command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.folder / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    changed = ("--set", "sampler.options.api_key=Zq7Xw9set")
    start = ("run", place.file, "--inline", "--run-dir", place.run, *changed)
    for line in (("settings",), ("settings", "--json"), ("check",), ("check", "--json")):
        command(0, line[0], place.file, *line[1:], *changed, "--set", f"base_model={tiny_model}", "--set", "sampling.max_tokens=8")
    assert "run toy in" in command(0, *start)

    # The secrets were used.
    assert {request["authorization"] for request in place.server.headers} == {"Bearer Zq7Xw9-teacher-key"}
    assert {path.partition("?")[2] for path in place.server.paths} == {"key=Zq7Xw9query&api-version=1"}
    assert {body["api_key"] for body in place.server.bodies} == {"Zq7Xw9extra"}
    log = (place.run / "logs" / "driver.log").read_text()
    for word in ("options {'api_key': '***'", "store s3://bucket/x", "native s3://bucket/x ***", "HTTP Request: GET s3://bucket/x?sig=***&x=1"):
        assert word in log, word
    settings = json.loads((place.run / "workflow.json").read_text())
    assert settings["sampler"]["options"] == {"api_key": "***", "headers": {"Authorization": "***"}, "hub": "***"}
    assert settings["sampler"]["store"] == "s3://bucket/x" and settings["gate"]["password"] == "***"

    # Continued with another key, it is the same run.
    assert "continuing toy" in command(0, *start, "--json", "--set", "sampler.options.api_key=Zq7Xw9other")
    for line in (("report",), ("report", "--json"), ("report", "--html"), ("traces",), ("traces", "--json"), ("audit", "--with", "exact", "--json")):
        command(0, line[0], place.run, *line[1:])
    assert "workflow.py was kept without its secrets" in command(2, "reverify", place.run)
    command(0, "reverify", place.run, "--workflow", place.file, *changed)
    assert "workflow.py was kept without its secrets" in command(2, "fork", place.run, "--from-generation", "2", "--inline")
    command(0, "completion", "bash")
    assert_clean(place.folder)
    with sqlite3.connect(store) as connection:
        assert not any(MARK in line for line in connection.iterdump())
    assert len(list((place.folder / "mlflow-artifacts").rglob("*"))) > 10


def test_no_error_shows_a_secret(place: Place, command: Callable[..., str], untracked: None) -> None:
    run = ("run", place.file, "--inline", "--run-dir")
    for arguments, said in (
        ((*run, "s3://AKIAX:Zq7Xw9SECRET@bucket/run?sig=Zq7Xw9sig"), "s3://bucket/run?sig=*** cannot be used (ParamValidationError"),
        ((*run, "ftp://me:Zq7Xw9PASS/x@127.0.0.1:9/first"), "ftp://127.0.0.1:9/first cannot be used"),
        ((*run, "s33://me:Zq7Xw9@bucket/x"), "s33://bucket/x: no file system is known"),
        ((*run, "https://127.0.0.1:9/x?token=Zq7Xw9"), "https://127.0.0.1:9/x?token=*** cannot be used"),
        (("report", "s3://AKIAX:Zq7Xw9SECRET@bucket/run"), "s3://bucket/run cannot be used"),
        ((*run, place.run, "--set", "sampler.options.api_key.deeper.api_key=Zq7Xw9set"), "--set sampler.options.api_key.deeper.api_key=***"),
        ((*run, place.run, "--set", "teacher.sampler.url=http://example.org/v1?key=Zq7Xw9"), "would travel unencrypted to example.org"),
        ((*run, place.run, "--set", "teacher.sampler.url=ftp://me:Zq7Xw9@h/v1?key=Zq7Xw9"), "is not an http address"),
        ((*run, place.run, "--set", "generations=https://u:Zq7Xw9@h"), "--set generations=https://h: generations: Input should be"),
        (("run", place.file, "--api-key=Zq7Xw9"), "unrecognized arguments: --api-key=***"),
        (("token=Zq7Xw9",), "there is no 'token=***'"),
    ):
        assert said in command(2, *arguments)
    for behaviour in (
        lambda *_: fails(401, "no key Zq7Xw9-teacher-key, ?key=Zq7Xw9query or {'api_key': 'Zq7Xw9extra'}"),
        lambda *_: Reply("Zq7Xw9query is not JSON"),
        lambda *_: fails(500, "Authorization: Bearer Zq7Xw9-teacher-key"),
    ):
        place.server.behaviour = behaviour
        assert f"{place.server.url}?key=***&api-version=1 " in command(2, *run, place.run)
    place.file.write_text("api_key = 'Zq7Xw9'\nraise ValueError(f'api_key={api_key}')\n")
    assert "ValueError: api_key=***" in command(2, *run, place.run)
    assert_clean(place.folder)


def test_no_traceback_shows_a_secret(place: Place) -> None:
    body = "def load(self): raise RuntimeError(f'http://u:{api_key}@host \\x1b]0;x\\x07')"
    odd = f"api_key = 'Zq7Xw9'\nclass Odd:\n    {body}\nworkflow = toy_workflow(Path('model'), problems=Odd())\n"
    place.file.write_text(place.file.read_text() + odd)
    for more in ([], ["--debug"]):
        line = [sys.executable, "-m", "selfimprove", "run", str(place.file), "--inline", *more]
        paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
        ended = subprocess.run(line, capture_output=True, text=True, cwd=place.folder, env=os.environ | paths)
        assert ended.returncode != 0 and "Traceback" in ended.stderr and "http://host" in ended.stderr
        assert MARK not in ended.stdout + ended.stderr and "\x1b" not in ended.stderr


def test_a_run_at_an_address_with_a_password_works_and_shows_it_nowhere(place: Place, command: Callable[..., str], untracked: None) -> None:
    url = "memory://me:Zq7Xw9@places/secret"
    assert "run toy in memory://places/secret" in command(0, "run", place.file, "--inline", "--run-dir", url)
    assert "continuing toy in memory://places/secret" in command(0, "run", place.file, "--inline", "--run-dir", url)
    command(0, "report", url, "--html", place.folder / "page.html")
    assert_clean(place.folder)


@pytest.mark.slow
def test_an_mlflow_server_that_is_away_shows_no_password(place: Place, command: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:Zq7Xw9S3CRET/pw@127.0.0.1:9/?token=Zq7Xw9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    command(0, "run", place.file, "--inline", "--run-dir", place.run, "--set", "generations=1")
    assert "could not be sent to MLflow" in (place.run / "logs" / "driver.log").read_text()
    assert_clean(place.folder)


def test_a_run_folder_of_an_earlier_version_shows_no_secret(tmp_path: Path) -> None:
    settings = {"name": "toy", "base_model": "m", "generations": 1, "answer_only_baseline": False}
    secret = {"sampler": {"extra": {"api_key": "Zq7Xw9"}, "url": "http://u:Zq7Xw9@h"}}
    (tmp_path / "workflow.json").write_text(json.dumps(settings | secret))
    assert MARK not in str(RunFolder(tmp_path).settings())
    RunFolder(tmp_path).require_room_for(settings | {"sampler": {"extra": {"api_key": "***"}, "url": "http://h"}})
