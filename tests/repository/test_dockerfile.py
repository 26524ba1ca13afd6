"""The image: what goes into its build, who runs in it, and that its own command installs a working program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
from places import ROOT

LINES = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
INSTRUCTIONS = [(word, rest) for word, _, rest in (line.partition(" ") for line in LINES) if word and not word.startswith("#")]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def told(word: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == word]


def test_the_image_is_unprivileged_opens_no_port_and_takes_no_secret() -> None:
    assert told("USER") == ["1000"] and told("EXPOSE") == []
    assert told("ARG") == ["EXTRA=gpu"] and not any(re.search("token|key|secret|password", rest, re.IGNORECASE) for _, rest in INSTRUCTIONS)
    names = [name for name, _ in INSTRUCTIONS]
    assert "RUN" not in names[names.index("USER") :] and told("VOLUME") == ["/runs"]


def test_the_build_sees_what_it_installs_and_nothing_else() -> None:
    assert IGNORED[0] == "*"
    assert {line[1:] for line in IGNORED if line.startswith("!")} == {path.name for path in sent()}
    assert not any(path.name.startswith(".") for path in sent())


def sent() -> list[Path]:
    """Files and folders at the top that enter the build."""
    return [path for path in ROOT.iterdir() if any(fnmatch(path.name, line[1:]) for line in IGNORED if line.startswith("!"))]


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_the_command_of_the_cpu_build_installs_a_program_that_checks_a_workflow(tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "selfimprove"
    home.mkdir()
    work.mkdir()
    for path in sent():
        copy = shutil.copytree if path.is_dir() else shutil.copy2
        copy(path, work / path.name, **({"ignore": shutil.ignore_patterns("__pycache__")} if path.is_dir() else {}))
    *_, install = told("RUN")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")} | {
        "HOME": str(home),
        "EXTRA": "cpu",
    }
    subprocess.run(["sh", "-ec", install], cwd=work, env=environment, check=True, timeout=1800)
    assert not (home / ".cache").exists()
    program = work / ".venv" / "bin" / "selfimprove"
    found = subprocess.run([program, "--version"], cwd=home, env=environment, check=True, capture_output=True, text=True)
    assert found.stdout.startswith("selfimprove ")
    subprocess.run([program, "settings", work / "workflows" / "quickstart.py"], cwd=home, env=environment, check=True, stdout=subprocess.DEVNULL)
