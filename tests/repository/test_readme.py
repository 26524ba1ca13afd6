"""What the README and its pages on commands and files say is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

import selfimprove


def blocks(page: Path) -> list[str]:
    """The blocks of a page that are in no language."""
    return [code for fence, code in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.DOTALL | re.MULTILINE) if not fence]


def test_the_tree_names_every_file_and_folder_of_the_package() -> None:
    tree = next(block for block in blocks(ROOT / "docs" / "explanation" / "code.md") if block.startswith("selfimprove/\n"))
    named = set(re.findall(r"^  ([a-z_]+(?:\.py|/)) ", tree, flags=re.MULTILINE))
    package = ROOT / "selfimprove"
    there = {
        path.name if path.is_file() else f"{path.name}/" for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert named == there - {"__init__.py"}


def test_the_api_page_shows_every_public_name() -> None:
    shown = re.findall(r"^::: selfimprove\.(\w+)$", (ROOT / "docs" / "reference" / "api.md").read_text(), flags=re.MULTILINE)
    assert sorted(shown) == sorted([*selfimprove.__all__, "protocols", "records"])


@pytest.mark.parametrize("command", ["run", "check", "report", "traces", "fork", "audit", "reverify"])
def test_commands_and_their_options_are_as_told(command: str) -> None:
    told = next(block for block in blocks(ROOT / "README.md") if f"selfimprove {command} " in block)
    line = next(line for line in told.splitlines() if line.startswith(f"selfimprove {command} "))
    usage = subprocess.run([sys.executable, "-m", "selfimprove", command, "--help"], capture_output=True, text=True, check=True).stdout
    for word in re.findall(r"--[a-z-]+", line):
        assert word in usage
    assert "--json" in usage


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys, selfimprove.__main__; print([name for name in ('ray', 'vllm', 'trl', 'mlflow', 'torch', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
