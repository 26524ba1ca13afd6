"""`selfimprove check`: find what is wrong with a workflow before compute is spent."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from selfimprove.commands.parser import Commands, add_inline, add_output, add_workflow, print_result


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("check", help="find what is wrong with a workflow before compute is spent")
    add_workflow(parser)
    add_output(parser)
    parser.add_argument("--run-dir", metavar="DIR", help="folder or URL of the run, for the room on its disk; default: runs/NAME")
    parser.add_argument("--probe", action="store_true", help="also sample and verify for about a minute, and forecast the run")
    add_inline(parser)
    parser.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    from selfimprove.commands.findings import check, show
    from selfimprove.commands.forecast import forecast, show_forecast
    from selfimprove.commands.run import runs_folder
    from selfimprove.terminal.captured_output import capture_output
    from selfimprove.workflow.files import load_workflow

    workflow, modules = load_workflow(Path(options.workflow), options.set)
    folder, result = Path(tempfile.mkdtemp(prefix="selfimprove-check-")), dict[str, Any]()
    try:
        with capture_output(folder / "logs" / "check.log", screen=2 if options.json else 1) as console:
            result = check(workflow, options.run_dir or str(runs_folder() / workflow.name))
            if options.probe:
                if not options.json:
                    show(result, console)
                result = forecast(workflow, modules, result, folder / "trial", options.inline, console)
        print_result(result, options, show_forecast if options.probe else show)
    finally:
        # A line that names a log needs it.
        if str(folder) not in str(result):
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if result["passed"] else 1
