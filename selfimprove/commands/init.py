"""`selfimprove init`: write a workflow file to edit."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfimprove.commands.parser import Commands, add_output, print_result
from selfimprove.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

TASKS = ("sums", "gsm8k", "math", "choice", "code", "custom")
"""Each has a template."""


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("init", help="write a workflow file to edit")
    add_output(parser)
    parser.add_argument("file", metavar="FILE", nargs="?", default="experiment.py", help="default: experiment.py")
    parser.add_argument("--task", choices=TASKS, default="sums", help=f"what the problems are like: {', '.join(TASKS)}; default: sums")
    parser.set_defaults(command=_init)


def _init(options: argparse.Namespace) -> int:
    from selfimprove.workflow.shadowing import refuse_name

    file = Path(options.file)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.") or "experiment"
    refuse_name(file)
    text = (Path(__file__).parent / "templates" / f"{options.task}_task.py").read_text()
    try:
        with file.open("x") as new:
            new.write(text.replace('name="experiment"', f'name="{name}"'))
    except FileExistsError as error:
        raise UserError(f"{file} exists; give another FILE, or remove it") from error
    result = {"file": str(file), "next": [f"selfimprove {command} {shlex.quote(str(file))}" for command in ("settings", "check", "run")]}
    return print_result(result, options, _show)


def _show(result: dict[str, Any], console: Console) -> None:
    from rich.text import Text

    from selfimprove.terminal.safe_text import plain_line

    lines = [f"wrote {result['file']}; edit it, then:", *(f"  {line}" for line in result["next"])]
    console.print(Text("\n".join(map(plain_line, lines))), soft_wrap=True)
