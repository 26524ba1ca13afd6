"""The runnable parts of a Markdown page: its Python blocks, run in order as one module, and its command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import selfimprove

FENCE = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
EXCERPT = "…"
"""Marks an omission: a block that contains it is not a program."""


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """The line number and the code of each Python block that is a program."""
    text = page.read_text()
    return [(text.count("\n", 0, found.start(1)), found[1]) for found in FENCE.finditer(text) if EXCERPT not in found[1]]


def run_blocks(page: Path, **names: Any) -> dict[str, Any]:
    """Run the blocks with the public names of the package, `Path` and `names` defined, and return what they define."""
    public = {name: getattr(selfimprove, name) for name in selfimprove.__all__}
    # There is no module of this name, so parts defined here are pickled with their code.
    namespace: dict[str, Any] = {"__name__": f"page_{page.stem}", "Path": Path, **public, **names}
    for line, code in python_blocks(page):
        # Errors name the page and its line; `dont_inherit` keeps the `__future__` imports of this file out.
        exec(compile("\n" * line + code, str(page), "exec", dont_inherit=True), namespace)
    return namespace


BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\S.* -- )?(?:\S*/)?(selfimprove|python -m selfimprove|python workflows/\w+\.py|make)(?: (.*))?")
SYNOPSIS = re.compile(r" {2,}.*|[][]")
"""In a list of commands: the description after two spaces, and the brackets around optional words."""


class Command(NamedTuple):
    """A command line on a page."""

    line: int
    program: str
    """`selfimprove`, `make`, or the path of a script under `workflows/`."""
    words: list[str]
    printed: list[str]
    """Lines of its output that the page shows."""


def commands(page: Path) -> Iterator[Command]:
    """Every command line of this project in fenced blocks; in a `console` block, the lines after `$ ` with the output below each."""
    text = page.read_text()
    for block in BLOCK.finditer(text):
        language, first = block[1], text.count("\n", 0, block.start(2)) + 1
        found: Command | None = None
        # A trailing backslash continues the line.
        for number, line in enumerate(re.sub(r"\\\n\s*", " ", block[2]).splitlines(), start=first):
            if language == "console" and not line.startswith("$ "):
                if found:
                    found.printed.append(line)
            elif language in ("", "bash", "console") and (match := COMMAND.fullmatch(line.removeprefix("$ "))):
                program = match[1].split()[-1] if match[1] != "python -m selfimprove" else "selfimprove"
                arguments = SYNOPSIS.sub("", match[2] or "") if not language else match[2] or ""
                found = Command(number, program, shlex.split(arguments, comments=True), [])
                yield found
            else:
                found = None
