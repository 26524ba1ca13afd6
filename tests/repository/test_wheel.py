"""The package as `pip install` puts it on a machine: built, installed in an environment of its own, and used from another folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from hatchling.build import build_editable
from packaging.requirements import Requirement
from places import PYTHONPATH, ROOT
from toy import make_toy_model

USED = """
import sys
import pytest
from pathlib import Path
from untracked import leave_out_mlflow
import selfimprove
from selfimprove.__main__ import main

assert Path(selfimprove.__file__).is_relative_to(sys.prefix), selfimprove.__file__
leave_out_mlflow(pytest.MonkeyPatch())
assert main(["init", "sums.py"]) == 0
assert main(["settings", "sums.py"]) == 0
assert main(["check", "checked.py"]) == 0
assert main(["run", "toys.py", "--inline"]) == 0
assert main(["report", "runs/toy", "--html"]) == 0
assert main(["traces", "runs/toy", "--limit", "1"]) == 0
"""


def run(*command: object, folder: Path) -> str:
    """What a command prints in `folder`, where only the toy parts are importable besides what is installed."""
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH.split(os.pathsep)[0]}
    ended = subprocess.run([str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, folder=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    files = {path for path in (ROOT / "selfimprove").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {path.relative_to(ROOT).as_posix() for path in files} and "selfimprove/py.typed" in held


@pytest.mark.slow
def test_the_installed_wheel_works_from_any_folder(wheel: Path, tiny_model: Path, tmp_path: Path) -> None:
    environment, folder = tmp_path / "environment", tmp_path / "elsewhere"
    folder.mkdir()
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    # The dependencies are those of this interpreter; files with `.pth` in them, such as that of an editable install, do not count there.
    (packages / "dependencies.pth").write_text("\n".join(place for place in sys.path if Path(place).name == "site-packages"))
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel, folder=folder)
    assert re.fullmatch(r"selfimprove \d+\.\d+\.\d+\n", run(environment / "bin" / "selfimprove", "--version", folder=folder))
    toys = "from pathlib import Path\nfrom toy import toy_workflow\nworkflow = toy_workflow(Path({!r}))"
    (folder / "checked.py").write_text(toys.format(str(tiny_model)))
    (folder / "toys.py").write_text(toys.format(str(make_toy_model(tmp_path / "model", 0.3))))
    printed = run(python, "-c", USED, folder=folder)
    assert "kept: generation" in printed and (folder / "runs" / "toy" / "report.html").exists()


def test_type_checkers_find_an_editable_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    # They follow a path; they do not run a hook.
    with zipfile.ZipFile(tmp_path / build_editable(str(tmp_path))) as archive:
        (path,) = (archive.read(name).decode().strip() for name in archive.namelist() if name.endswith(".pth"))
    assert path == str(ROOT)


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_the_pinned_versions_are_in_the_ranges(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    options = project["optional-dependencies"]
    wanted = [Requirement(line) for line in (*project["dependencies"], *options[extra], *options["dev"])]
    pins = dict(line.split("==") for line in (ROOT / "requirements" / f"{extra}.txt").read_text().split())
    assert [str(one) for one in wanted if not one.specifier.contains(pins[one.name])] == []
