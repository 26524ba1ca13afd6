"""Odd input: one line and exit code 2, in `run` and `check` alike, before Ray or an engine is started."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from toy import make_toy_model

from selfimprove.__main__ import main
from selfimprove.records import Trace
from selfimprove.storage.files import read_records

pytestmark = pytest.mark.usefixtures("untracked")

LONG = "9" * 5000
DEEP = "[" * 900 + "]" * 900


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command that must end with one line and exit code 2 before it starts Ray, and returns the line."""

    def started(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr("ray.init", started)

    def run(*arguments: object) -> str:
        capfd.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        out, line = capfd.readouterr()
        assert line.startswith("selfimprove: ") and line.count("\n") == 1 and len(line) < 600 and out == ""
        return line

    return run


@pytest.fixture
def workflow_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a workflow file of toy parts with these fields, after some lines of Python."""
    model = make_toy_model(tmp_path / "model", 0.2)

    def write(fields: str = "", *, before: str = "") -> Path:
        file = tmp_path / "experiment.py"
        file.write_text(f"from pathlib import Path\nfrom selfimprove import *\nfrom toy import *\n{before}\n")
        with file.open("a") as end:
            end.write(f"workflow = toy_workflow(Path({str(model)!r}), {fields})\n")
        return file

    return write


SETTINGS = [
    ("sampling=" + "[" * 3000, "--set sampling=[[["),
    (f"sampling={DEEP}", "it is nested more than 64 levels deep"),
    ('sampling={"n": 3, "n": 4}', "the key 'n' is there twice"),
    ("sampling.temperature=Infinity", "Infinity is not a number in JSON"),
    ("sampling.temperature=-Infinity", "-Infinity is not a number in JSON"),
    ("sampling.temperature=NaN", "NaN is not a number in JSON"),
    ("sampling.temperature=1e999", "1e999 is too large for a number"),
    ("sampling.temperature=true", "temperature: Input should be a valid number"),
    ('sampling.temperature="Infinity"', "temperature: Input should be a valid number"),
    ("sampling.temperature=inf", "temperature: Input should be a valid number"),
    ("sampling.n=true", "n: Input should be a valid integer"),
    ("sampling.n=3.0", "n: Input should be a valid integer"),
    ('sampling={"n": true}', "sampling.n: Input should be a valid integer"),
    ("eval_problems=true", "eval_problems"),
    ("generations=false", "generations: Input should be a valid integer"),
    (f"seed={LONG}", "a number of 5,000 digits is too long"),
    ("seed=" + "9" * 400, "seed: Value error, a whole number must have at most 50 digits"),
    (r'base_model="\ud800"', "half of a surrogate pair"),
    ("base_model=\udcff", "is not UTF-8 text"),
    (r'delimiters={"begin": "\ud800", "end": "x"}', "half of a surrogate pair"),
    (r'name="a\u0000b"', "name: String should match pattern"),
    ("gate.margin=NaN", "NaN is not a number in JSON"),
    ("trainer.gain=true", "gain: expected a number, not true or false"),
    ("sampling.n=1000000000001", "n: Value error, the number must be at most 1,000,000,000,000"),
    ("verifier_deadline=true", "verifier_deadline: Input should be a valid number"),
]


@pytest.mark.parametrize(("change", "line"), SETTINGS, ids=range(len(SETTINGS)))
def test_an_odd_setting_is_named(change: str, line: str, refused: Callable[..., str], workflow_file: Callable[..., Path], tmp_path: Path) -> None:
    file = workflow_file()
    for command in (("run", file, "--run-dir", tmp_path / "run"), ("check", file)):
        assert line in refused(*command, "--set", change)
    assert not (tmp_path / "run").exists()


ROWS = [
    (r'{"question": "2 + \ud800?", "answer": 2}', "line 2: is not JSON that can be used: it holds half of a surrogate pair"),
    (r'{"question": "2 + 2?", "answer": "\udcff"}', "line 2: is not JSON that can be used: it holds half of a surrogate pair"),
    (r'{"question": "2 + 2?", "answer": 2, "level": {"\ud800": 1}}', "line 2: is not JSON that can be used: it holds half of a surrogate pair"),
    (f'{{"question": "2 + 2?", "answer": {LONG}}}', "line 2: is not JSON that can be used: a number of 5,000 digits is too long: write it as text"),
    (f'{{"question": {LONG}, "answer": 2}}', "line 2: is not JSON that can be used: a number of 5,000 digits"),
    ('{"question": "2 + 2?", "answer": NaN}', "line 2: is not JSON that can be used: NaN is not a number"),
    ('{"question": "2 + 2?", "answer": Infinity}', "line 2: is not JSON that can be used: Infinity is not a number"),
    ('{"question": "2 + 2?", "answer": 1e999}', "line 2: is not JSON that can be used: 1e999 is too large"),
    ('{"question": "2 + 2?", "answer": {"a": 1}}', "line 2: 'answer' is dict, not text, a number or a list"),
    ('{"question": "2 + 2?", "answer": 4, "answer": 5}', "line 2: is not JSON that can be used: the key 'answer' is there twice"),
    (f'{{"question": "2 + 2?", "answer": 4, "level": {DEEP}}}', "line 2: is not JSON that can be used: it is nested more than 64 levels"),
]


@pytest.mark.parametrize(("row", "line"), ROWS, ids=range(len(ROWS)))
def test_an_odd_row_is_named_by_file_and_line(
    row: str, line: str, refused: Callable[..., str], workflow_file: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.jsonl").write_text('{"question": "1 + 1?", "answer": 2}\n' + row)
    named(f"{tmp_path / 'odd.jsonl'}, {line}", workflow_file(f"problems=Jsonl({str(tmp_path / 'odd.jsonl')!r})"), refused, tmp_path, capfd)


def named(line: str, file: Path, refused: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`run` refuses the problems or the model with this line; `check`, which looks at everything, reports it as what failed."""
    assert line in refused("run", file, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run" / "workflow.json").exists()
    assert main(["check", str(file), "--json"]) == 1
    findings = json.loads(capfd.readouterr().out)["findings"]
    assert [finding["passed"] for finding in findings if line in finding["detail"]] == [False]


PATHS = [
    ("pipe.jsonl", "pipe.jsonl: cannot be read (is a pipe, not a file)"),
    ("folder.jsonl", "folder.jsonl: cannot be read (is a folder, not a file)"),
    ("/dev/zero", "/dev/zero: cannot be read (is a device, not a file)"),
    ("/dev/stdin", "/dev/stdin: cannot be read"),
    ("a\0b.jsonl", "embedded null"),
    ("x" * 300, "cannot be read (File name too long)"),
]


@pytest.mark.parametrize(("path", "line"), PATHS, ids=range(len(PATHS)))
def test_an_odd_path_of_problems_is_named_at_once(
    path: str,
    line: str,
    refused: Callable[..., str],
    workflow_file: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.jsonl")
    Path("folder.jsonl").mkdir()
    named(line, workflow_file(f"problems=Jsonl({path!r})"), refused, tmp_path, capfd)


SOURCE = """
from dataclasses import dataclass
from selfimprove.records import Problem
@dataclass(frozen=True)
class Odd:
    def load(self):
        return [*Sums(20).load(), Problem({id!r}, {question!r}, "1", "toy", {metadata})]
"""
PROBLEMS = [
    ("a", "\ud800?", "{}", "problem 'a' cannot be stored as JSON: it holds half of a surrogate pair"),
    ("a\ud800", "q?", "{}", r"problem 'a\ud800' cannot be stored as JSON: it holds half of a surrogate pair"),
    ("a", "q?", "{'x': object()}", "problem 'a' cannot be stored as JSON: Unable to serialize unknown type"),
    ("a", "q?", "{'x': 10**5000}", "problem 'a' cannot be stored as JSON: Exceeds the limit"),
    ("a", "q?", "{'x': eval('['*80 + ']'*80)}", "problem 'a' cannot be stored as JSON: it is nested more than 64 levels deep"),
]


@pytest.mark.parametrize(("id", "question", "metadata", "line"), PROBLEMS, ids=range(len(PROBLEMS)))
def test_an_odd_problem_of_a_user_s_source_is_named(
    id: str,
    question: str,
    metadata: str,
    line: str,
    refused: Callable[..., str],
    workflow_file: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    named(line, workflow_file("problems=Odd()", before=SOURCE.format(id=id, question=question, metadata=metadata)), refused, tmp_path, capfd)


@pytest.mark.parametrize(
    ("file", "content"), [("config.json", ""), ("tokenizer.json", ""), ("generation_config.json", "[]"), ("model.safetensors", "")]
)
def test_an_odd_model_is_named(
    file: str, content: str, refused: Callable[..., str], workflow_file: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    workflow = workflow_file()
    (tmp_path / "model" / file).write_text(content)
    named(str(tmp_path / "model" / file), workflow, refused, tmp_path, capfd)


ENDS = {
    "import sys; sys.exit(0)": "experiment.py, line 4: the workflow file ends the program",
    "exit()": "experiment.py, line 4: the workflow file ends the program",
    "raise SystemExit": "experiment.py, line 4: the workflow file ends the program",
    "raise GeneratorExit": "experiment.py, line 4: GeneratorExit",
    "import asyncio; raise asyncio.CancelledError": "experiment.py, line 4: CancelledError",
    "class Mine(BaseException): ...\nraise Mine('no')": "experiment.py, line 5: Mine: no",
}


@pytest.mark.parametrize(("code", "line"), ENDS.items())
def test_a_workflow_file_that_ends_the_program_is_no_success(
    code: str, line: str, refused: Callable[..., str], workflow_file: Callable[..., Path], tmp_path: Path
) -> None:
    file = workflow_file(before=code)
    for command in (("run", file, "--run-dir", tmp_path / "run"), ("check", file), ("settings", file)):
        assert line in refused(*command)


def test_a_workflow_file_that_interrupts_itself_is_an_interruption(workflow_file: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(workflow_file(before="raise KeyboardInterrupt"))]) == 130
    assert capfd.readouterr().err == "selfimprove: interrupted; the same command continues where it stopped\n"


ENDING = """
import sys
from dataclasses import dataclass
@dataclass(frozen=True)
class EndingProblems:
    def load(self): sys.exit(0)
@dataclass(frozen=True)
class EndingSelector(KeepCorrect):
    def select(self, judged, prompts, generation): sys.exit(0)
@dataclass(frozen=True)
class EndingSampler(ToySampler):
    def sample(self, checkpoint, requests): exit()
"""


@pytest.mark.parametrize(("fields", "line"), [("problems=EndingProblems()", 9), ("selector=EndingSelector()", 12), ("sampler=EndingSampler()", 15)])
def test_a_part_that_ends_the_program_is_no_success(
    fields: str, line: int, workflow_file: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = workflow_file(fields, before=ENDING)
    assert main(["run", str(file), "--inline", "--run-dir", str(tmp_path / "run")]) == 2
    told = capfd.readouterr().err
    assert (
        told == f"selfimprove: {file}, line {line}: a part ends the program (sys.exit or exit) before the work is done; raise an exception instead\n"
    )


def test_a_workflow_that_is_no_file_is_named(refused: Callable[..., str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    for path in (tmp_path / "pipe.py", tmp_path, Path("/dev/null")):
        assert f"workflow file {path} is not a file" in refused("check", path)
    assert "an argument holds a NUL character" in refused("check", "a\0b.py")


SPLIT = """
from dataclasses import dataclass, replace
@dataclass(frozen=True)
class SplitSampler(ToySampler):
    def _trace(self, checkpoint, request):
        trace = super()._trace(checkpoint, request)
        return replace(trace, text=trace.text.replace("<think>", "<think>\\ud800"))
"""


def test_a_trace_with_half_of_a_surrogate_pair_is_kept_with_a_replacement(
    workflow_file: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = workflow_file("sampler=SplitSampler(), generations=1", before=SPLIT)
    assert main(["run", str(file), "--inline", "--run-dir", str(tmp_path / "run")]) == 0, capfd.readouterr().err
    (shard,) = (tmp_path / "run" / "generation-01" / "traces").glob("*.parquet")
    assert all("<think>\ufffd\n" in trace.text for trace in read_records(shard, Trace))


def test_check_names_a_tokenizer_that_cannot_be_read(workflow_file: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(workflow_file())]) == 1
    assert "tokenizer.json cannot be used" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--temperature", "nan"), "sampling: temperature: Input should be a finite number"),
        (("--temperature", "-1"), "sampling: temperature: Input should be greater than or equal to 0"),
        (("--max-tokens", "-5"), "sampling: max_tokens: Input should be greater than 0"),
        ((), "config.json cannot be used"),
    ],
    ids=range(4),
)
def test_an_odd_question_is_refused_before_an_engine_starts(options: tuple[str, ...], line: str, refused: Callable[..., str], tmp_path: Path) -> None:
    assert line in refused("ask", make_toy_model(tmp_path / "model", 0.2), "1 + 1?", *options)
    assert "QUESTION is not UTF-8 text" in refused("ask", tmp_path / "model", "\udcff")
