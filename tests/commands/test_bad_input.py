"""Bad input and failures: one line that says what is wrong and how to fix it, exit code 2, no traceback, and finished work is kept."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from places import PYTHONPATH
from toy import make_toy_model
from untracked import UNTRACKED

from selfimprove import UserError
from selfimprove.__main__ import main

Refused = Callable[..., str]


pytestmark = pytest.mark.usefixtures("untracked")


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must fail with one line and exit code 2, and returns the line."""

    def run(*arguments: object) -> str:
        capfd.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        line = capfd.readouterr().err
        assert line.startswith("selfimprove: ") and line.count("\n") == 1 and "Traceback" not in line
        return line

    return run


@pytest.fixture
def workflow_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a workflow file of toy parts with these fields, after some lines of Python."""
    model = make_toy_model(tmp_path / "model", 0.2)

    def write(fields: str = "", *, before: str = "", model: Path = model) -> Path:
        file = tmp_path / "experiment.py"
        imports = "from pathlib import Path\nfrom selfimprove import *\nfrom toy import *\n"
        file.write_text(f"{imports}{before}\nworkflow = toy_workflow(Path({str(model)!r}), {fields})\n")
        return file

    return write


def test_a_missing_workflow_file_is_named(refused: Refused, tmp_path: Path) -> None:
    for command in ("run", "check"):
        assert "nowhere.py does not exist" in refused(command, tmp_path / "nowhere.py")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("workflow = (", r"experiment.py, line 1: SyntaxError: '\(' was never closed"),
        ("import math\n\nworkflow = math.nothing", "experiment.py, line 3: AttributeError: module 'math' has no attribute 'nothing'"),
        ("import no_such_module", "experiment.py, line 1: ModuleNotFoundError: No module named 'no_such_module'"),
        (
            "from selfimprove import Sampling\nSampling(temperature=-1)",
            "experiment.py, line 2: Sampling: temperature: Input should be greater than or",
        ),
        ("from selfimprove import Sampling\nSampling(warmth=1)", "experiment.py, line 2: Sampling: warmth: Unexpected keyword argument"),
        ("from selfimprove import Workflow\nWorkflow(name='x')", "experiment.py, line 2: Workflow: problems: Field required"),
        ("answer = 42", r"experiment.py defines no `workflow = Workflow\(…\)`"),
        ("workflow = 'quickstart'", r"experiment.py defines no `workflow = Workflow\(…\)`"),
    ],
)
def test_a_workflow_file_that_does_not_run_is_named_with_the_line(
    text: str, line: str, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiment.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    for path in ("experiment.py", tmp_path / "experiment.py"):
        assert re.search(line, refused("run", path))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("sampling.temprature=0.7", "Sampling has no field 'temprature'; did you mean temperature?"),
        ("smapling.temperature=0.7", "Workflow has no field 'smapling'; did you mean sampling?"),
        ("seed.deeper=1", "int has no field 'deeper'; it has no fields"),
        ("sampling.temperature=hot", "sampling.temperature=hot: temperature: Input should be a valid number"),
        ("sampling.n=0", "n: Input should be greater than 0"),
        ("generations=0", "generations: Input should be greater than 0"),
        ("start_from=nothing", "start_from: Input should be 'base' or 'champion'"),
        ("verifier=strict", "verifier: Input should be an instance of Verifier"),
        ("seed", "--set seed: expected part.field=value"),
    ],
)
def test_a_setting_that_does_not_fit_is_named_with_a_hint(change: str, line: str, refused: Refused, workflow_file: Callable[..., Path]) -> None:
    assert line in refused("run", workflow_file(), "--set", change)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("", "the file holds no problems; it needs one JSON object per line"),
        ('{"question": "1 + 1?", "answer": 2}\n{"question": "1  + 1? ", "answer": 2}', "line 2: the question repeats that of line 1"),
        ('{"question": " ", "answer": 2}', "line 1: 'question' is empty; fill it in or remove the row"),
        ('{"question": "1 + 1?"}', "line 1: there is no 'answer', only 'question'; name the field that holds it"),
        ('{"question": "1 + 1?", "answer": null}', "line 1: 'answer' is empty"),
        ('{"question": "1 + 1?", "answer": 2}', "cannot set 15 of 1 distinct questions apart for eval_problems; lower it or give more problems"),
    ],
)
def test_unusable_problems_are_named(rows: str, line: str, refused: Refused, workflow_file: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "problems.jsonl").write_text(rows)
    file = workflow_file(f"problems=Jsonl({str(tmp_path / 'problems.jsonl')!r})")
    assert line in refused("run", file, "--inline", "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run" / "workflow.json").exists()


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ("problems=Sums(0)", "problems: there are no problems; give at least one"),
        ("eval_problems=Sums(0)", "eval_problems: there are no problems"),
        ("eval_problems=Sums(5)", "problem sum-0 of problems asks the same as sum-0 of eval_problems, which must be new to the model"),
        ("problems=Jsonl('missing.jsonl')", "missing.jsonl: cannot be read"),
    ],
)
def test_sets_from_a_custom_source_are_checked_too(
    fields: str, line: str, refused: Refused, workflow_file: Callable[..., Path], tmp_path: Path
) -> None:
    assert line in refused("run", workflow_file(fields), "--inline", "--run-dir", tmp_path / "run")


def test_a_question_longer_than_the_context_is_named(refused: Refused, workflow_file: Callable[..., Path], tmp_path: Path) -> None:
    sampler = """
from selfimprove.sampling.engine_options import require_room
class ShortSampler(ToySampler):
    def _trace(self, checkpoint, request):
        require_room(request, len(request.messages[-1]["content"]), context=270)
        return super()._trace(checkpoint, request)
"""
    file = workflow_file("sampler=ShortSampler()", before=sampler)
    line = refused("run", file, "--inline", "--run-dir", tmp_path / "run")
    assert "does not fit: a prompt of 15 tokens and an output of up to 256 exceed the context of 270; leave it out, lower max_tokens" in line


def test_a_folder_without_a_model_is_named(refused: Refused, workflow_file: Callable[..., Path], tmp_path: Path) -> None:
    def line(model: Path) -> str:
        return refused("run", workflow_file(model=model), "--inline", "--run-dir", tmp_path / "run")

    bare = shutil.copytree(tmp_path / "model", tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    assert "bare has no weights: no *.safetensors in it" in line(bare)
    (bare / "config.json").unlink()
    assert "bare has no config.json: give the folder of a transformers model" in line(bare)
    assert "gone does not exist; give a folder, a Hugging Face id" in line(tmp_path / "gone")
    (tmp_path / "finished").mkdir()
    (tmp_path / "finished" / "champion").symlink_to(tmp_path / "model")
    assert f"finished has no config.json: give {tmp_path / 'finished' / 'champion'}" in line(tmp_path / "finished")


def test_a_model_without_an_accepted_trace_ends_with_advice_and_finished_work_is_kept(
    refused: Refused, workflow_file: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = workflow_file("sampler=ToySampler(help=0.0)", model=make_toy_model(tmp_path / "weak", 0.0))
    for _ in range(2):
        line = refused("run", file, "--inline", "--run-dir", tmp_path / "run")
        assert "generation 1: no trace was accepted (50 wrong); the model is too weak" in line and "exemplars" in line
    assert main(["report", str(tmp_path / "run"), "--json"]) == 0
    summary = json.loads(capfd.readouterr().out)
    assert [row["pass_at_1"] for row in summary["generations"]] == [0.0] and not summary["complete"]
    assert list((tmp_path / "run/generation-01/traces").glob("*.parquet"))


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "no.such.host.invalid:6379", "somewhere"])
def test_a_ray_address_where_nobody_answers_is_named_at_once(
    address: str, refused: Refused, workflow_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert f"no Ray cluster answers at RAY_ADDRESS={address}: start one" in refused("run", workflow_file(), "--run-dir", tmp_path / "run")


def test_a_run_folder_of_another_workflow_is_refused_by_the_difference_and_left_as_it_is(
    refused: Refused, workflow_file: Callable[..., Path], tmp_path: Path
) -> None:
    run = ("run", workflow_file("generations=1"), "--inline", "--run-dir", tmp_path / "run")
    assert main([str(argument) for argument in run]) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    line = refused(*run, "--set", "sampling.temperature=0.5", "--set", "seed=3")
    assert "holds a run of another workflow: sampling.temperature: 0.8 → 0.5 (and 1 more); use another --run-dir" in line
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_a_folder_with_other_files_is_left_alone(refused: Refused, workflow_file: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert "mine is not empty and holds no run; use another --run-dir" in refused("run", workflow_file(), "--run-dir", tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_report_of_a_folder_without_a_run_is_refused(refused: Refused, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert "holds no run: it has no workflow.json" in refused("report", folder)


@pytest.mark.parametrize(
    ("damaged", "line"), [("workflow.json", "is not valid JSON"), ("generation-00/report.json", "has changed since it was written")]
)
def test_a_file_damaged_by_hand_is_named(damaged: str, line: str, refused: Refused, workflow_file: Callable[..., Path], tmp_path: Path) -> None:
    assert main(["run", str(workflow_file("generations=1")), "--inline", "--run-dir", str(tmp_path / "run")]) == 0
    (tmp_path / "run" / damaged).write_text("{")
    assert f"{damaged} {line}" in refused("report", tmp_path / "run")


def test_debug_shows_the_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="does not exist"):
        main(["run", str(tmp_path / "nowhere.py"), "--debug"])
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_full_disk_ends_with_one_line_and_the_same_command_continues_later(workflow_file: Callable[..., Path], tmp_path: Path) -> None:
    alone = ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    script = f"""
        mkdir disk && mount -t tmpfs -o size=192k tmpfs disk || exit 99
        {sys.executable} -m selfimprove run "$1" --inline --run-dir disk/run; echo "first $?"
        find disk -name '.*'
        mount -o remount,size=64m disk
        {sys.executable} -m selfimprove run "$1" --inline --run-dir disk/run --json; echo "second $?"
    """
    file, environment = workflow_file("problems=Sums(400)", before=UNTRACKED), {**os.environ, "PYTHONPATH": PYTHONPATH}
    ended = subprocess.run([*alone, "sh", "-c", script, "sh", file], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    first, _, second = ended.stdout.partition("first 2\n")
    assert ended.stderr.splitlines()[0].startswith("selfimprove: no space left") and "Traceback" not in ended.stderr
    assert "base model, evaluation: 15" in first and "base model, evaluation" not in ended.stderr
    assert second.startswith("{") and second.endswith("second 0\n"), ended
