"""`selfimprove check`: find what is wrong with a workflow before compute is spent."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from selfimprove.commands.parser import Commands, add_output, add_workflow, print_result


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("check", help="find what is wrong with a workflow before compute is spent")
    add_workflow(parser)
    add_output(parser)
    parser.add_argument("--run-dir", metavar="DIR", help="folder or URL of the run, for the room on its disk; default: runs/NAME")
    parser.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    from selfimprove.commands.findings import check, show
    from selfimprove.commands.run import runs_folder
    from selfimprove.terminal.captured_output import capture_output
    from selfimprove.workflow.files import load_workflow

    workflow, _ = load_workflow(Path(options.workflow), options.set)
    with tempfile.TemporaryDirectory() as folder, capture_output(Path(folder) / "check.log"):
        findings = check(workflow, options.run_dir or str(runs_folder() / workflow.name))
    print_result(findings, options, show)
    return 0 if findings["passed"] else 1
