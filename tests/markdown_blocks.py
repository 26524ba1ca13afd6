"""Runs the Python blocks of a Markdown page, one after another, as one module."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import selfimprove

FENCE = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
EXCERPT = "…"
"""What is left out in a block stands as this: such a block is no program."""


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """The line of each Python block that is a program, and its code."""
    text = page.read_text()
    return [(text.count("\n", 0, found.start(1)), found[1]) for found in FENCE.finditer(text) if EXCERPT not in found[1]]


def run_blocks(page: Path, **names: Any) -> dict[str, Any]:
    """What the blocks define, where the public names of the package, `Path` and `names` are there already."""
    public = {name: getattr(selfimprove, name) for name in selfimprove.__all__}
    # No module of this name is known, so that parts defined here travel to other processes with their code.
    namespace: dict[str, Any] = {"__name__": f"page_{page.stem}", "Path": Path, **public, **names}
    for line, code in python_blocks(page):
        # Errors name the page and its line; what this file imports from the future is not in force there.
        exec(compile("\n" * line + code, str(page), "exec", dont_inherit=True), namespace)
    return namespace
