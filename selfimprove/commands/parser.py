"""The argument parser of the command line: it names the nearest command, and shells can complete what it takes."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import Any, NoReturn

import shtab

COMPLETED = {"WORKFLOW.py": shtab.FILE, "FILE": shtab.FILE, "RUN_DIR": shtab.DIRECTORY, "DIR": shtab.DIRECTORY, "CHECKPOINT": shtab.DIRECTORY}
"""What stands for a path, by the word that the help shows for it."""


class Parser(argparse.ArgumentParser):
    """As argparse's, with better errors and completion of paths."""

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Add an argument; what its `metavar` says of paths is completed."""
        action = super().add_argument(*names, **options)
        if completed := COMPLETED.get(str(options.get("metavar"))):
            action.complete = completed  # type: ignore[attr-defined]
        return action

    def error(self, message: str) -> NoReturn:
        """End with code 2 and one line, which names the nearest word where one of several was expected."""
        if found := re.search(r"invalid choice: (\S+) \(choose from (.*)\)", message):
            given, known = found[1].strip("'"), [word.strip("' ") for word in found[2].split(",")]
            close = difflib.get_close_matches(given, known, n=1)
            message = f"{message[: found.start()]}there is no {given!r}; " + (f"did you mean {close[0]}?" if close else f"choose {', '.join(known)}")
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")
