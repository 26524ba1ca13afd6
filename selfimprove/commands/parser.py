"""The argument parser of the command line, and the arguments and output that several commands share."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import shtab

from selfimprove.errors.redaction import redact
from selfimprove.tracking.named import NAMES

COMPLETED = {"WORKFLOW.py": shtab.FILE, "FILE": shtab.FILE, "RUN_DIR": shtab.DIRECTORY, "DIR": shtab.DIRECTORY, "CHECKPOINT": shtab.DIRECTORY}
"""Metavars of paths, and what a shell completes for each."""

LONGEST_ERROR = 400
"""Maximum number of characters of an error about the arguments, which repeats them."""


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors take one line and suggest the nearest word, and whose paths a shell can complete."""

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Add an argument; shells complete it if its `metavar` stands for a path."""
        action = super().add_argument(*names, **options)
        if completed := COMPLETED.get(str(options.get("metavar"))):
            action.complete = completed  # type: ignore[attr-defined]
        return action

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line; after an unknown word, the line suggests the nearest one."""
        if found := re.search(r"invalid choice: (\S+) \(choose from (.*)\)", message):
            given, known = found[1].strip("'"), [word.strip("' ") for word in found[2].split(",")]
            close = difflib.get_close_matches(given, known, n=1)
            message = f"{message[: found.start()]}there is no {given!r}; " + (f"did you mean {close[0]}?" if close else f"choose {', '.join(known)}")
        from selfimprove.terminal.safe_text import plain_line

        message = plain_line(redact(message))
        message = message if len(message) <= LONGEST_ERROR else message[: LONGEST_ERROR - 1] + "…"
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_output(parser: Parser) -> None:
    """`--json` and `--debug`."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_workflow(parser: Parser) -> None:
    """A workflow file, and `--set`."""
    add_set(parser)
    parser.add_argument("workflow", metavar="WORKFLOW.py", help="a Python file that defines `workflow`")


def add_set(parser: Parser) -> None:
    """`--set`, which may be repeated."""
    parser.add_argument("--set", action="append", default=[], metavar="PART.FIELD=VALUE", help="change one setting; may be repeated")


def add_inline(parser: Parser) -> None:
    """`--inline`."""
    parser.add_argument("--inline", action="store_true", help="do all work in this one process, without Ray: for debugging")


def add_tracker(parser: Parser) -> None:
    """`--tracker`, which may be repeated."""
    meaning = f"where the run is logged: {', '.join(NAMES)} (the default: mlflow), or none; may be repeated"
    parser.add_argument("--tracker", action="append", choices=(*NAMES, "none"), metavar="NAME", help=meaning)


def print_result(result: dict[str, Any], options: argparse.Namespace, show: Callable[..., None]) -> int:
    """Print the result, as JSON if `--json` is given, else with `show(result, console)`; 0, the exit code of success."""
    if options.json:
        print_json(result)
    else:
        from rich.console import Console

        show(result, Console())
    return 0


def print_json(result: Any) -> None:
    """Print JSON data, with control characters and invisible ones escaped, so that a terminal shows what a program reads."""
    from selfimprove.terminal.safe_text import plain_json

    print(plain_json(result))
