"""`selfimprove compare`: the champions of several runs on the same problems."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfimprove.commands.parser import Commands, add_output, print_result


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("compare", help="compare the champions of several runs on the same problems")
    add_output(parser)
    parser.add_argument("run_dirs", metavar="RUN_DIR", nargs="+", help="two runs or more; the others are compared with the first")
    parser.add_argument("--html", metavar="FILE", help="write a page instead")
    parser.set_defaults(command=_compare)


def _compare(options: argparse.Namespace) -> int:
    from selfimprove.reports.comparison import compare_runs, show_comparison
    from selfimprove.storage.open_run import reading

    found = compare_runs([reading(place) for place in options.run_dirs])
    if options.html is None:
        return print_result(found, options, show_comparison)
    from selfimprove.reports.comparison_page import show_page, write_page

    return print_result(write_page(found, Path(options.html)), options, show_page)
