"""Loading workflow files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from selfimprove import UserError
from selfimprove.storage.kept_source import keep_source
from selfimprove.storage.run_folder import RunFolder
from selfimprove.workflow.files import load_workflow

MAKERS = Path(__file__).parents[1] / "makers"

FILE = """
from pathlib import Path
from toy import toy_workflow
workflow = toy_workflow(Path("model"), generations={generations})
"""


def test_a_file_that_changed_within_a_second_and_kept_its_size_is_reloaded(tmp_path: Path) -> None:
    file = tmp_path / "experiment.py"
    for generations in (3, 7):
        file.write_text(FILE.format(generations=generations))
        os.utime(file, (1e9, 1e9))
        assert load_workflow(file)[0].generations == generations
    assert list(tmp_path.iterdir()) == [file], "nothing is left beside the user's file"


USING = """
from pathlib import Path
from parts_beside import right
from package_beside.sampling import N
from toy import toy_workflow
workflow = toy_workflow(Path("model"), verifier=right, generations=N)
"""
FORKED = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from selfimprove.storage.kept_source import kept_source
from selfimprove.storage.run_folder import RunFolder
from selfimprove.workflow.files import load_workflow
workflow, modules = load_workflow(*kept_source(RunFolder(pathlib.Path(sys.argv[1]))))
print(workflow.generations, sorted(pathlib.Path(module.__file__).relative_to(sys.argv[1]).as_posix() for module in modules))
"""


def test_modules_beside_a_workflow_are_imported_shipped_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    user = tmp_path / "user"
    (user / "package_beside").mkdir(parents=True)
    (user / ".venv" / "lib" / "site-packages").mkdir(parents=True)
    (user / "experiment.py").write_text(USING)
    (user / "parts_beside.py").write_text("import hidden_deep\ndef right(problem, answer):\n    return answer == problem.answer\n")
    (user / "package_beside" / "__init__.py").touch()
    (user / "package_beside" / "sampling.py").write_text("N = 4\n")
    (user / ".venv" / "lib" / "site-packages" / "hidden_deep.py").touch()
    sys.path.append(str(user / ".venv" / "lib" / "site-packages"))
    workflow, modules = load_workflow(user / "experiment.py")
    assert workflow.generations == 4
    assert [module.__name__ for module in modules] == ["workflow_experiment", "package_beside", "package_beside.sampling", "parts_beside"]

    run = RunFolder(tmp_path / "run")
    keep_source(run, user / "experiment.py", [], modules[1:])
    shutil.rmtree(user / "package_beside")
    (run.root / "modules" / "hidden_deep.py").touch()
    told = subprocess.run(
        [sys.executable, "-c", FORKED, str(run), str(MAKERS)], cwd=tmp_path, text=True, stdout=subprocess.PIPE, timeout=100, check=True
    ).stdout
    kept = ["modules/hidden_deep.py", "modules/package_beside/__init__.py", "modules/package_beside/sampling.py", "modules/parts_beside.py"]
    assert told == f"4 {[*kept, 'workflow.py']}\n"


def test_each_workflow_gets_the_module_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    for generations in (3, 5, 3):
        folder = tmp_path / f"of {generations}"
        folder.mkdir(exist_ok=True)
        (folder / "twice_beside.py").write_text(f"N = {generations}\n")
        (folder / "experiment.py").write_text("from twice_beside import N\n" + FILE.format(generations="N"))
        workflow, modules = load_workflow(folder / "experiment.py")
        assert workflow.generations == generations
        assert [module.__name__ for module in modules] == ["workflow_experiment", "twice_beside"]


def test_a_workflow_loads_as_fast_however_many_were_loaded_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    seconds = []
    for number in range(61):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "experiment.py").write_text(FILE.format(generations=1))
        begin = time.process_time()
        load_workflow(folder / "experiment.py")
        seconds.append(time.process_time() - begin)
    # The first load imports what a workflow needs.
    assert sum(seconds[-20:]) < 2.5 * sum(seconds[1:21])


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("from selfimprove import Jsonll", "did you mean Jsonl?"),
        ("from selfimprove import *; KeepCorect()", "did you mean KeepCorrect?"),
        ("from selfimprove import *; Sampling(temprature=1)", "did you mean temperature?"),
        ("from selfimprove import *; Replay(per_problem=0)", "greater than 0"),
        ("from selfimprove.nowhere import Jsonl", "No module named"),
    ],
)
def test_the_error_for_a_misspelt_name_shows_the_line_and_the_nearest_name(tmp_path: Path, line: str, hint: str) -> None:
    (tmp_path / "wrong.py").write_text(f"\n{line}\n")
    with pytest.raises(UserError) as error:
        load_workflow(tmp_path / "wrong.py")
    assert "wrong.py, line 2: " in str(error.value) and hint in str(error.value)
    assert ("did you mean" in str(error.value)) == hint.startswith("did you mean")
