"""What the README says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from toy import make_toy_model, toy_workflow

import selfimprove
from selfimprove import InlineCluster, Outcome, improve
from selfimprove.storage.run_folder import RunFolder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return [code for fence, code in re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE) if fence == language]


def test_the_verifier_of_the_readme_judges_a_run(tmp_path: Path) -> None:
    (code,) = blocks("python")
    (tmp_path / "my_verifier.py").write_text(code)
    namespace = {"__name__": "my_verifier"}
    exec(compile(code, str(tmp_path / "my_verifier.py"), "exec"), namespace)
    verifier = namespace["Multiple"]()  # type: ignore[operator]
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.3), verifier=verifier, generations=1, answer_only_baseline=False)
    improve(workflow, tmp_path / "run", InlineCluster)
    report = RunFolder(tmp_path / "run").reports()[1]
    assert report.outcomes[Outcome.CORRECT] > 0 and report.outcomes[Outcome.WRONG] > 0


def test_the_tree_names_every_file_and_folder_of_the_package() -> None:
    tree = next(block for block in blocks("") if block.startswith("selfimprove/\n"))
    named = set(re.findall(r"^  ([a-z_]+(?:\.py|/))", tree, flags=re.MULTILINE))
    package = ROOT / "selfimprove"
    there = {
        path.name if path.is_file() else f"{path.name}/" for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    unexplained = {"__init__.py", "__main__.py", "errors.py", "resources.py", "seeds.py", "settings.py", "workflow_files.py"}
    assert named == there - unexplained


def test_links_lead_to_files() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets and all((ROOT / target).exists() for target in targets)


@pytest.mark.parametrize("command", ["run", "check", "report", "traces", "fork", "audit", "reverify"])
def test_commands_and_their_options_are_as_told(command: str) -> None:
    told = next(block for block in blocks("") if f"selfimprove {command} " in block)
    line = next(line for line in told.splitlines() if line.startswith(f"selfimprove {command} "))
    usage = subprocess.run([sys.executable, "-m", "selfimprove", command, "--help"], capture_output=True, text=True, check=True).stdout
    for word in re.findall(r"--[a-z-]+", line):
        assert word in usage
    assert "--json" in usage


def test_every_public_name_is_there_once_and_documented() -> None:
    assert selfimprove.__all__ == sorted(set(selfimprove.__all__), key=lambda name: (name.upper() != name, name[0].islower(), name))
    for name in selfimprove.__all__:
        assert getattr(selfimprove, name).__doc__, name


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys, selfimprove.__main__; print([name for name in ('ray', 'vllm', 'trl', 'mlflow', 'torch', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
