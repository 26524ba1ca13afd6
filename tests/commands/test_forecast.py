"""What `check --probe` forecasts from a trial of toy parts."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from toy import Sums, ToySampler, toy_workflow

from selfimprove import Exact, Rationalization, Sampling, Teacher
from selfimprove.__main__ import main
from selfimprove.commands.forecast import forecast, show_forecast
from selfimprove.errors import UserError
from selfimprove.records import Checkpoint, Outcome, Problem, Request, Trace
from selfimprove.stages import trial
from selfimprove.workflow.workflow import Workflow


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that the toy sampler takes to solve no problem by itself."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("skilled") / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"skill": 0.3}))
    return folder


@dataclass(frozen=True)
class Changed(ToySampler):
    """Writes `text` in place of the toy's traces, or cuts them."""

    text: str | None = None
    finish: str = "stop"

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        for (trace,) in super().sample(checkpoint, requests):
            yield [replace(trace, text=trace.text if self.text is None else self.text, finish_reason=self.finish)]


@dataclass(frozen=True)
class Hinted(ToySampler):
    """Reads the question before a hint."""

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        for request in requests:
            (asked,) = re.findall(r"What is \d+ \+ \d+", request.messages[-1]["content"])
            yield from super().sample(checkpoint, [replace(request, messages=({"role": "user", "content": asked},))])


@dataclass(frozen=True)
class Failing(ToySampler):
    """An engine that does not start."""

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        raise UserError("vLLM cannot start: no memory")
        yield []


class Slow(Exact):
    """Takes its time."""

    def verify(self, problem: Problem, answer: str) -> Outcome:
        time.sleep(0.3)
        return super().verify(problem, answer)


def tried(workflow: Workflow, folder: Path) -> dict[str, Any]:
    """The result of the trial, without the other checks."""
    return forecast(workflow, (), {"passed": True, "findings": []}, folder / "trial", True, Console(file=StringIO()))


def found(workflow: Workflow, folder: Path) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in tried(workflow, folder)["findings"]}


def test_a_trial_samples_what_generation_1_samples_and_forecasts_the_run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "MOST", 12)
    workflow = toy_workflow(model, problems=Sums(size=60), problems_per_generation=30)
    result = tried(workflow, tmp_path)
    assert result["passed"] and result["new"] == len(result["findings"]) == 7, result["findings"]
    figures = result["probe"]
    assert (figures["problems"], figures["traces"], figures["truncated"], figures["unanswered"], figures["tokens"]) == (12, 24, 0, 0, 12)
    expected, low, high = figures["rows"]
    assert 0 < low < expected < high <= 60 and expected <= figures["accepted"] / 12 * 30
    assert figures["minutes"]["all"] == pytest.approx(sum(figures["minutes"][name] for name in ("sample", "train", "evaluate")))
    traces = {item["trace_id"]: item for item in figures["samples"]}
    assert len(traces) == 4 and all("/g1/s" in name for name in traces) and {item["outcome"] for item in traces.values()} == {"correct", "wrong"}
    shown = StringIO()
    show_forecast(result, Console(file=shown, width=200))
    assert "question" in shown.getvalue() and "a run takes about" in shown.getvalue()


def test_all_problems_of_a_small_set_are_tried_and_their_rows_are_certain(model: Path, tmp_path: Path) -> None:
    result = tried(toy_workflow(model, problems=Sums(size=20), eval_problems=14), tmp_path)
    rows = result["probe"]["rows"]
    assert result["probe"]["problems"] == 6 and 0 < rows[0] <= result["probe"]["accepted"] and rows == [rows[0]] * 3


def test_what_the_model_writes_is_judged_with_the_fix(model: Path, tmp_path: Path) -> None:
    cut = found(toy_workflow(model, sampler=Changed(text="<think>\n\x1b[31mendless", finish="length")), tmp_path / "cut")
    assert not cut["truncated"]["passed"]
    assert cut["truncated"]["detail"].startswith(
        "100% of the traces were cut at sampling.max_tokens=32; a trace has 12 tokens on average: raise sampl"
    )
    assert not cut["answers"]["passed"] and "their thinking does not end" in cut["answers"]["detail"]
    assert not cut["accepted"]["passed"] and "none of 50 traces was accepted (50 unparseable); 50 ran into max_tokens" in cut["accepted"]["detail"]
    assert cut["difficulty"]["warning"] and "of 25 problems, 25 are solved by none of up to 2 samples, 0 by all" in cut["difficulty"]["detail"]
    assert cut["base accuracy"]["warning"] and "100% of its traces were cut at eval_sampling.max_tokens=256" in cut["base accuracy"]["detail"]
    endless = found(toy_workflow(model, sampler=Changed(finish="length")), tmp_path / "endless")
    assert "the model does not end its turns" in endless["truncated"]["detail"] and endless["answers"]["passed"]
    easy = found(toy_workflow(model, sampler=ToySampler(help=1.0)), tmp_path / "easy")
    assert easy["difficulty"]["warning"] and "too easy" in easy["difficulty"]["detail"]
    assert easy["accepted"]["passed"] and "50 of 50 sampled traces were accepted: there is little to select by" in easy["accepted"]["detail"]


def test_escape_sequences_of_a_model_do_not_reach_the_terminal(model: Path, tmp_path: Path) -> None:
    result, shown = tried(toy_workflow(model, sampler=Changed(text="<think>\n\x1b[31m[red]\n</think>\n1")), tmp_path), StringIO()
    show_forecast(result, Console(file=shown, width=200))
    assert "\x1b" not in shown.getvalue() and "\\x1b[31m[red]" in shown.getvalue()


def test_a_part_that_does_not_work_is_one_line(model: Path, tmp_path: Path) -> None:
    result = tried(toy_workflow(model, sampler=Failing()), tmp_path)
    assert not result["passed"] and result["probe"] is None
    assert [finding["detail"] for finding in result["findings"]] == ["vLLM cannot start: no memory"]


def test_a_slow_verifier_is_told(model: Path, tmp_path: Path) -> None:
    slow = found(toy_workflow(model, problems=Sums(size=3), eval_problems=1, verifier=Slow()), tmp_path)
    assert slow["verifier time"]["warning"] and "verifying holds sampling up" in slow["verifier time"]["detail"]


def test_a_teacher_and_rationalized_rows_count(model: Path, tmp_path: Path) -> None:
    teacher = Teacher(
        sampler=ToySampler(help=1.0), model=str(model), sampling=Sampling(n=3, max_tokens=64), prompter=toy_workflow(model).first_prompter
    )
    taught = tried(toy_workflow(model, teacher=teacher), tmp_path / "teacher")
    assert taught["probe"]["accepted"] == taught["probe"]["traces"] == 75
    hinted = found(toy_workflow(model, sampler=Hinted(), rationalization=Rationalization(resolve=0), problems=Sums(size=30)), tmp_path / "hinted")
    assert "were rationalized" in hinted["accepted"]["detail"]


def test_the_command_tries_out_what_passes_and_leaves_nothing(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "experiment.py"
    file.write_text(
        f"from pathlib import Path\nfrom toy import *\nworkflow = toy_workflow(Path({str(model)!r}), problems=Sums(size=9), eval_problems=3)"
    )
    assert main(["check", str(file), "--probe", "--inline", "--json"]) == 1
    result = json.loads(capfd.readouterr().out)
    # Three evaluation problems can show nothing.
    assert [finding["name"] for finding in result["findings"] if not finding["passed"]] == ["evaluation", "probe"]
    assert result["probe"] is None and not list((tmp_path / "temporary").iterdir()) and not (tmp_path / "runs").exists()
    assert main(["check", str(file), "--probe", "--inline", "--set", "eval_problems=5", "--json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out)["probe"]["problems"] == 4 and "generation 1, sampling" in said.err
    assert not list((tmp_path / "temporary").iterdir()) and not (tmp_path / "runs").exists()
