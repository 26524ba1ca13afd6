"""The commands around a run: init, settings and completion; and errors in the command line."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from selfimprove import Table, UserError
from selfimprove.__main__ import main
from selfimprove.commands.init import TASKS
from selfimprove.problems.sets import load_sets
from selfimprove.records import Outcome, Problem
from selfimprove.settings.paths import override
from selfimprove.thinking.traces import parse
from selfimprove.verification.pool import VerifierPool
from selfimprove.workflow.files import load_workflow

COMPLETE = """
source {script}
for words in 'selfimprove re' 'selfimprove init --task ' 'selfimprove check {folder}/mi' 'selfimprove settings w.py --s'; do
    IFS=' ' read -ra COMP_WORDS <<< "$words"
    [[ "$words" == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMPREPLY=()
    _shtab_selfimprove
    echo "${{COMPREPLY[@]}}"
done
"""


def test_init_writes_a_workflow_that_loads_under_the_name_of_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my sums.py"
    assert main(["init", str(file)]) == 0
    assert f"selfimprove check '{file}'" in capsys.readouterr().out
    workflow, _ = load_workflow(file)
    assert workflow.name == "my-sums" and file.read_text().count("#") >= 8
    exemplars = workflow.first_prompter.exemplars  # type: ignore[union-attr]
    answers = [parse(exemplar.completion(workflow.delimiters), workflow.delimiters).answer for exemplar in exemplars]
    assert answers == [exemplar.answer for exemplar in exemplars]


@pytest.mark.parametrize("task", TASKS)
def test_each_task_has_a_workflow_that_fits(tmp_path: Path, task: str) -> None:
    file = tmp_path / f"{task}-1.py"
    assert main(["init", str(file), "--task", task]) == 0
    workflow, _ = load_workflow(file)
    assert workflow.name == f"{task}-1" and workflow.trainer.min_steps >= 24  # type: ignore[attr-defined]
    assert workflow.sampling.max_tokens < workflow.trainer.max_length  # type: ignore[attr-defined]
    exemplars = workflow.first_prompter.exemplars  # type: ignore[union-attr]
    problems = [Problem(f"e{n}", one.question, one.answer, "exemplar", TESTS.get(n, {})) for n, one in enumerate(exemplars)]
    pool = VerifierPool(workflow.verifier).open()
    try:
        assert set(pool.verify_answers([(problem, problem.answer) for problem in problems])) == {Outcome.CORRECT}
    finally:
        pool.close()
    if isinstance(workflow.problems, Table):
        assert len(load_sets(**workflow.sets).evaluation) == 2


TESTS = {0: {"tests": "assert triple(2) == 6"}, 1: {"tests": "assert first([4, 5]) == 4"}}
"""Metadata that only the task `code` reads."""


@pytest.mark.parametrize("name", ["math.py", "csv.py", "code.py", "json.py", "torch.py", "ray.py"])
def test_init_refuses_a_name_that_hides_a_library(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / name)]) == 2 and not (tmp_path / name).exists()
    assert f"{name} would hide the library {name[:-3]}, which the workers import; give another FILE" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["math.py", "transformers.py", "random/__init__.py"])
@pytest.mark.parametrize("command", ["check", "run", "settings"])
def test_a_file_beside_the_workflow_that_hides_a_library_is_named(
    tmp_path: Path, name: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path / "mine.py")])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("x = 1")
    assert main([command, str(tmp_path / "mine.py")]) == 2
    assert "hides the library" in (told := capsys.readouterr().err) and name.split("/")[0] in told


def test_a_file_in_the_current_folder_that_hides_a_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["init", str(tmp_path / "mine.py")])
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "csv.py").write_text("")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match=r"here/csv\.py hides the library csv"):
        load_workflow(tmp_path / "mine.py")


@pytest.mark.parametrize("name", ["sums.py", "math.txt", "json.jsonl", "random", "data.py"])
def test_other_names_are_free(tmp_path: Path, name: str) -> None:
    main(["init", str(tmp_path / "mine.py")])
    (tmp_path / name).mkdir() if name == "random" else (tmp_path / name).write_text("")
    assert load_workflow(tmp_path / "mine.py")[0].name == "mine"


def test_init_leaves_a_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text("mine")
    assert main(["init", str(tmp_path / "mine.py")]) == 2
    assert (tmp_path / "mine.py").read_text() == "mine" and "mine.py exists; give another FILE" in capsys.readouterr().err


def test_every_setting_is_listed_by_the_path_that_changes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", str(tmp_path / "new.py")])
    capsys.readouterr()
    assert main(["settings", str(tmp_path / "new.py"), "--set", "sampling.temperature=0.25", "--json"]) == 0
    rows = {row["path"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
    assert rows["sampling.temperature"]["value"] == 0.25 and rows["sampling.temperature"]["takes"] == "float ≥ 0"
    assert rows["generations"]["value"] == 2 and rows["verifier"] | {"meaning": ""} == {
        "path": "verifier",
        "value": "LastNumber",
        "part": True,
        "takes": "Verifier",
        "meaning": "",
    }
    assert rows["sampler.engine.max_model_len"]["value"] == 512 and rows["first_prompter.exemplars.2.answer"]["value"] == "15"
    assert rows["accepted_cap"]["meaning"].startswith("Number of accepted traces after which a problem")
    workflow, _ = load_workflow(tmp_path / "new.py", ["sampling.temperature=0.25"])
    plain = [row for row in rows.values() if not row["part"] and not any(path.startswith(f"{row['path']}.") for path in rows)]
    assert len(plain) > 40
    for row in plain:
        assert override(workflow, f"{row['path']}={json.dumps(row['value'])}") == workflow, row


def test_settings_read_as_lines_with_what_each_takes_and_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", str(tmp_path / "new.py")])
    main(["settings", str(tmp_path / "new.py"), "--set", "base_model=\x1b[31mred"])
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("eval_problems = 100  (ProblemSource or int > 0)")
    assert lines[place + 1].startswith("    Evaluation problems: a source, or the number")
    assert 'start_from = "base"  ("base" or "champion")' in lines and not any("\x1b" in line for line in lines)


def test_bash_completes_commands_choices_files_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "mine.py").touch()
    code = COMPLETE.format(script=tmp_path / "script", folder=tmp_path)
    completed = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert completed == ["report reverify", "sums gsm8k math choice code custom", str(tmp_path / "mine.py"), "--set"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(command in script for command in ("run", "settings", "export", "--from-generation", "reasoning-gym"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chek", "x.py"], "there is no 'chek'; did you mean check?"),
        (["init", "--task", "maths"], "there is no 'maths'; did you mean math?"),
        (["xyzzy"], "there is no 'xyzzy'; choose run, fork, check, "),
        (["run"], "the following arguments are required: WORKFLOW.py"),
    ],
)
def test_an_unknown_word_is_refused_in_one_line_with_the_nearest_one(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and message in error and error.count("\n") == 1


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"selfimprove {version('selfimprove')}\n"
