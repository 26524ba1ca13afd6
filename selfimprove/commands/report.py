"""`selfimprove report`: the table of a run, or its page of charts and traces."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfimprove.commands.parser import Commands, add_output, print_result


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("report", help="show the results of a run, finished or not")
    add_output(parser)
    parser.add_argument("run_dir", metavar="RUN_DIR")
    parser.add_argument("--html", nargs="?", const="", metavar="FILE", help="write a page of charts and traces instead; default: RUN_DIR/report.html")
    parser.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    from selfimprove.storage.open_run import reading

    run = reading(options.run_dir)
    if options.html is None:
        from selfimprove.reports.table import show, summarize

        return print_result(summarize(run), options, show)
    from selfimprove.reports.html_report import show_written, write_html

    return print_result(write_html(run, Path(options.html) if options.html else None), options, show_written)
