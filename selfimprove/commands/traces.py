"""`selfimprove traces`: read the traces of a generation."""

from __future__ import annotations

import argparse

from selfimprove.commands.parser import Commands, add_output, print_result


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("traces", help="read what a model thought: its traces, coloured by reasoning behaviour")
    add_output(parser)
    parser.add_argument("run_dir", metavar="RUN_DIR")
    parser.add_argument("--generation", type=int, metavar="G", help="generation that sampled the traces; default: the last complete one")
    parser.add_argument("--outcome", metavar="OUTCOME", help="only traces with this outcome: correct, wrong, unparseable, timeout or crash")
    parser.add_argument("--problem", metavar="ID", help="only traces of this problem")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="maximum number of traces; default: 10")
    parser.set_defaults(command=_traces)


def _traces(options: argparse.Namespace) -> int:
    from selfimprove.reports.traces import find, show_traces
    from selfimprove.storage.open_run import reading

    run = reading(options.run_dir)
    return print_result(find(run, options.generation, options.outcome, options.problem, options.limit), options, show_traces)
