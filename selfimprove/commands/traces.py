"""`selfimprove traces`: read the traces of a generation, of an evaluation or of a baseline."""

from __future__ import annotations

import argparse

from selfimprove.commands.parser import Commands, add_output, print_result


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("traces", help="read what a model thought: its traces, coloured by reasoning behaviour")
    add_output(parser)
    parser.add_argument("run_dir", metavar="RUN_DIR")
    told = (
        "generation of the traces; default: the last complete one, and for evaluations the champion's. 0 is the base model, which is only evaluated"
    )
    parser.add_argument("--generation", type=int, metavar="G", help=told)
    parser.add_argument(
        "--from",
        dest="source",
        metavar="STAGE",
        help="sampling (the default), evaluation, thinking-off, guard-NAME, or a baseline: few-shot, answer-only, …",
    )
    parser.add_argument("--outcome", metavar="OUTCOME", help="only traces with this outcome: correct, wrong, unparseable, timeout or crash")
    parser.add_argument("--problem", metavar="ID", help="only traces of this problem")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="maximum number of traces; default: 10")
    parser.set_defaults(command=_traces)


def _traces(options: argparse.Namespace) -> int:
    from selfimprove.reports.traces import find, show_traces
    from selfimprove.storage.open_run import reading

    run = reading(options.run_dir)
    found = find(run, options.generation, options.outcome, options.problem, options.limit, options.source)
    return print_result(found, options, show_traces)
