"""The pages that list modules and public names list all of them."""

from __future__ import annotations

import re
from pathlib import Path

from places import ROOT

import selfimprove


def blocks(page: Path) -> list[str]:
    """The fenced blocks of a page that name no language."""
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
