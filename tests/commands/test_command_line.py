"""The command line in a terminal and in a pipe, interrupted and continued."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from threading import Thread

import pytest
from command import run_command
from places import PYTHONPATH
from processes import Started, watching
from pyarrow import parquet
from rich.console import Console
from toy import make_toy_model

from selfimprove.records import Stage
from selfimprove.reports import table
from selfimprove.terminal import progress

COMMAND = (sys.executable, "-m", "selfimprove")

SLOW = """
import os, time
from dataclasses import dataclass
from pathlib import Path
from toy import ToySampler, toy_workflow

@dataclass(frozen=True)
class SlowSampler(ToySampler):
    def sample(self, checkpoint, requests):
        for batch in super().sample(checkpoint, requests):
            time.sleep(float(os.environ.get("SECONDS_PER_TRACE", "0")))
            yield batch

workflow = toy_workflow(Path({model!r}), sampler=SlowSampler(), generations=1)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """A run of toy parts whose sampler is slow if the environment says so."""
    file = tmp_path / "slow.py"
    file.write_text(SLOW.format(model=str(make_toy_model(tmp_path / "model", 0.2))))
    return [*COMMAND, "run", str(file), "--run-dir", str(tmp_path / "run")]


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the toy parts and one MLflow store for all tests."""
    store = f"sqlite:///{tmp_path_factory.getbasetemp() / 'mlflow.db'}"
    return {**os.environ, "PYTHONPATH": PYTHONPATH, "MLFLOW_TRACKING_URI": store, "TERM": "xterm", "COLUMNS": "100"}


@pytest.fixture
def started() -> Iterator[Started]:
    """The processes that the test has started."""
    with watching() as found:
        yield found


def output_of(command: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)


def wait_for(file: Path, seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} was not written"
        time.sleep(0.1)


def parts_of(terminal: int) -> Iterator[bytes]:
    """What is written on a terminal until its last process ends, which raises an error."""
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 65536):
            yield part


def assert_nothing_is_half_written(run: Path) -> None:
    assert [path for path in run.rglob("*") if path.name.startswith(".")] == []
    for file in run.rglob("*.parquet"):
        parquet.read_table(file)
    for file in run.rglob("*.json"):
        json.loads(file.read_text())


def test_help_answers_without_loading_anything_heavy() -> None:
    code = "import sys; from selfimprove.__main__ import main\ntry: main(['run', '--help'])\nexcept SystemExit: print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--run-dir" in ended.stdout
    assert not {"ray", "vllm", "torch", "transformers", "trl", "mlflow", "datasets"} & set(ended.stdout.split())


@pytest.mark.slow
def test_json_stands_alone_on_standard_output_and_a_finished_run_is_read_from_disk(
    command: list[str], environment: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = output_of([*command, "--inline", "--json"], environment)
    figures = json.loads(first.stdout)
    assert list(figures)[:3] == ["generations", "baselines", "kept"]
    assert [row["generation"] for row in figures["generations"]] == [0, 1]
    for row in figures["generations"]:
        assert list(row)[:6] == ["generation", "pass_at_1", "interval", "sampled", "accepted", "seconds"]
        low, high = row["interval"]
        assert 0 <= low <= row["pass_at_1"] <= high <= 1
    assert set(figures["baselines"]) == {"few_shot", "answer_only"} and Path(figures["kept"]).is_dir()
    assert "generation 1, sampling: 50 in" in first.stderr and "\x1b" not in first.stderr

    monkeypatch.setenv("COLUMNS", "100")
    assert json.loads(run_command(capfd, 0, "report", tmp_path / "run", "--json")[0]) == figures
    out, err = run_command(capfd, 0, "report", tmp_path / "run")
    assert err == "" and "few-shot" in out and f"{figures['generations'][1]['pass_at_1']:.3f}" in out


def test_the_tables_fit_eighty_columns_with_every_stage_timed() -> None:
    row = {"generation": 12, "pass_at_1": 0.1234, "interval": [0.1, 0.2], "promoted": False, "undecided": 0.02, "why": "because"}
    row |= {name: 123_456 for name in ("sampled", "verified", "accepted", "distinct", "trained_on")}
    row |= {"samples_per_problem": 4.0, "most_samples": 16, "distinct_per_1000_tokens": 12.3}
    row["coverage"] = {"trend": "plateau", "newly_solved": ["a"], "forgotten": [], "never_solved": ["b", "c"]}
    row["seconds"] = dict.fromkeys(Stage, 12_345.6)
    row |= {
        "also": {},
        "guards": {},
        "level": None,
        "levels": {},
        "tried": {},
        "champion_gain": None,
        "drift": {"tokens": 123_456, "nll": 12.345, "kl": 12.345},
    }
    figures = {"name": "x", "generations": [row], "baseline_details": {"answer_only": row}, "kept": None, "complete": False, "stopped_early": None}
    figures |= {"test": None, "at_work": None, "kept_generation": None, "further_prompts": {}, "checkpoints": None}
    table.show(figures, console := Console(file=StringIO(), width=80))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(stage in text for stage in Stage) and "…" not in text
    assert "123,456  123,456  123,456  123,456 123,456" in text and "0.123 0.10–0.20 refused" in text
    assert "evaluation answers without a verdict: 2.0%" in text and "not complete" in text
    assert "plateau: 1 newly solved, 0 forgotten, 2 never solved" in text
    assert "4.0 samples per problem, at most 16; 12.3 distinct accepted per 1,000 tokens" in text


def test_plain_lines_appear_while_a_stage_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    console = Console(file=StringIO(), force_terminal=False)
    shown = progress.TerminalProgress(console)
    shown.begin("sampling [fast]", 10)
    shown.advance(4, tokens=40, accepted=3)
    shown.end()
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert re.fullmatch(r"sampling \[fast\]: 4/10, [\d,.]+ traces/s, [\d,]+ tokens/s, 3 correct, 1 s left", lines[0])
    assert re.fullmatch(r"sampling \[fast\]: 4 in 0 s, [\d,.]+ traces/s, [\d,]+ tokens/s, 3 correct", lines[1])


@pytest.mark.ray
def test_ctrl_c_in_a_terminal_leaves_nothing_running_nothing_half_written_and_a_clean_screen(
    command: list[str], environment: dict[str, str], started: Started, tmp_path: Path
) -> None:
    child, terminal = pty.fork()
    if child == 0:
        # A shell makes its background jobs ignore Ctrl-C.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execve(command[0], command, {**environment, "SECONDS_PER_TRACE": "0.1"})
    screen: list[bytes] = []
    reader = Thread(target=lambda: screen.extend(parts_of(terminal)))
    reader.start()
    try:
        wait_for(tmp_path / "run/baselines/few_shot/evaluation/score.json")
        time.sleep(1.0)
        assert len(started.alive()) > 3, "actors run in their own processes"
        os.write(terminal, b"\x03")
    finally:
        reader.join()
        _, status = os.waitpid(child, 0)
        os.close(terminal)
    text = b"".join(screen).decode()
    assert os.waitstatus_to_exitcode(status) == 130
    assert text.count("selfimprove: interrupted; the same command continues where it stopped\r\n") == 1 and "Traceback" not in text
    assert "generation 1, sampling" in text and text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l"), "the cursor is visible again"
    assert started.left_after(30.0) == set()
    assert_nothing_is_half_written(tmp_path / "run")

    # Without Ray's processes, whose start shows nothing here.
    again = output_of([*command, "--inline", "--json"], environment)
    assert json.loads(again.stdout)["complete"], again
    assert "continuing toy" in again.stderr and "few-shot base" not in again.stderr
    assert started.left_after(30.0) == set()


# On Ray, where its own handler has to give way, the test of a stopped job sends SIGTERM too.
@pytest.mark.parametrize("more", [pytest.param(("--inline",), marks=pytest.mark.slow), pytest.param((), marks=[pytest.mark.ray, pytest.mark.long])])
def test_sigterm_ends_a_run_like_ctrl_c(
    more: tuple[str, ...], command: list[str], environment: dict[str, str], started: Started, tmp_path: Path
) -> None:
    environment["SECONDS_PER_TRACE"] = "0.1"
    run = subprocess.Popen([*command, *more], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "run/baselines/few_shot/evaluation/score.json")
    time.sleep(1.0)
    run.send_signal(signal.SIGTERM)
    out, error = run.communicate(timeout=60)
    assert run.returncode == 130
    assert error == "selfimprove: interrupted; the same command continues where it stopped\n"
    assert "few-shot base, evaluation: 15 in" in out and "\x1b" not in out
    assert started.left_after(30.0) == set()
    assert_nothing_is_half_written(tmp_path / "run")
