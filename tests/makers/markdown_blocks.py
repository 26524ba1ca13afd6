"""What a Markdown page shows to be run: its Python blocks, one after another as one module, and its command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

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


BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\S.* -- )?(?:\S*/)?(selfimprove|python -m selfimprove|python workflows/\w+\.py|make)(?: (.*))?")
SYNOPSIS = re.compile(r" {2,}.*|[][]")
"""In a list of commands: what each does, behind two spaces, and the brackets around what may be left out."""


class Command(NamedTuple):
    """A command line of a page."""

    line: int
    program: str
    """`selfimprove`, `make`, or the file under `workflows/` that Python runs."""
    words: list[str]
    printed: list[str]
    """What the page shows of its output."""


def commands(page: Path) -> Iterator[Command]:
    """Every command line of ours in the fenced blocks; in a block marked `console` those after `$ `, with what stands below each."""
    text = page.read_text()
    for block in BLOCK.finditer(text):
        language, first = block[1], text.count("\n", 0, block.start(2)) + 1
        found: Command | None = None
        # A line that ends with a backslash goes on in the next one.
        for number, line in enumerate(re.sub(r"\\\n\s*", " ", block[2]).splitlines(), start=first):
            if language == "console" and not line.startswith("$ "):
                if found:
                    found.printed.append(line)
            elif language in ("", "bash", "console") and (told := COMMAND.fullmatch(line.removeprefix("$ "))):
                program = told[1].split()[-1] if told[1] != "python -m selfimprove" else "selfimprove"
                arguments = SYNOPSIS.sub("", told[2] or "") if not language else told[2] or ""
                found = Command(number, program, shlex.split(arguments, comments=True), [])
                yield found
            else:
                found = None
