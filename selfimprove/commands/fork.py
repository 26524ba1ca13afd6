"""`selfimprove fork`: continue from an earlier generation with other settings, in another folder."""

from __future__ import annotations

import argparse

from selfimprove.commands.parser import Commands, add_inline, add_output, add_set, add_tracker
from selfimprove.commands.run import run_workflow


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("fork", help="continue from an earlier generation with other settings, in another folder")
    add_set(parser)
    add_output(parser)
    parser.add_argument("source", metavar="RUN_DIR")
    parser.add_argument("--from-generation", type=int, required=True, metavar="N", help="first generation to make again")
    parser.add_argument("--run-dir", metavar="DIR", help="folder of the new run; default: RUN_DIR-fork-N")
    add_tracker(parser)
    add_inline(parser)
    parser.set_defaults(command=_fork)


def _fork(options: argparse.Namespace) -> int:
    from selfimprove.settings.paths import describe
    from selfimprove.storage.fork import fork
    from selfimprove.storage.open_run import reading, writing
    from selfimprove.tracking.named import require
    from selfimprove.workflow.files import load_workflow

    require(options.tracker)
    source = reading(options.source, checkpoints="all")
    file, changes = source.source(options.set)
    workflow, module = load_workflow(file, changes)
    # A run at a URL is shown without the secrets of its address, which the fork needs.
    place = options.source.rstrip("/") if "://" in options.source else source
    with writing(options.run_dir or f"{place}-fork-{options.from_generation}") as run:
        fork(source, run, options.from_generation, describe(workflow))
        run.keep_source(file, changes)
        return run_workflow(workflow, module, run, options)
