"""`selfimprove report`: the table of a run, or its page of charts and traces; of several seeds, their means."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfimprove.commands.parser import Commands, add_output, print_result


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("report", help="show the results of a run, finished or not, or the means of runs with several seeds")
    add_output(parser)
    parser.add_argument("run_dirs", metavar="RUN_DIR", nargs="+", help="a run; or several that differ in the seed alone, for their means")
    parser.add_argument("--html", nargs="?", const="", metavar="FILE", help="write a page instead; default for one run: RUN_DIR/report.html")
    parser.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    from selfimprove.storage.open_run import reading

    if len(options.run_dirs) > 1:
        return _report_seeds(options)
    run = reading(options.run_dirs[0])
    if options.html is None:
        from selfimprove.reports.table import show, summarize

        return print_result(summarize(run), options, show)
    from selfimprove.reports.html_report import show_written, write_html

    return print_result(write_html(run, Path(options.html) if options.html else None), options, show_written)


def _report_seeds(options: argparse.Namespace) -> int:
    from selfimprove.errors import UserError
    from selfimprove.reports.comparison_page import show_page
    from selfimprove.reports.seeds import show_seeds, summarize_seeds, write_seeds_page
    from selfimprove.storage.open_run import reading

    if options.html == "":
        raise UserError("the page of several runs belongs to none of their folders: name its file, --html FILE")
    found = summarize_seeds([reading(place) for place in options.run_dirs])
    if options.html is None:
        return print_result(found, options, show_seeds)
    return print_result(write_seeds_page(found, Path(options.html)), options, show_page)
