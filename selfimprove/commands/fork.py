"""`selfimprove fork`: continue from an earlier generation with other settings, in another folder."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from selfimprove.commands.parser import Commands, add_inline, add_output, add_set, add_tracker, print_result
from selfimprove.commands.run import run_workflow

if TYPE_CHECKING:
    from rich.console import Console


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("fork", help="run again from a generation on, with other settings, in another folder")
    add_set(parser)
    add_output(parser)
    parser.add_argument("source", metavar="RUN_DIR")
    parser.add_argument("--from-generation", type=int, required=True, metavar="N", help="first generation to make again")
    parser.add_argument("--run-dir", metavar="DIR", help="folder of the new run; default: RUN_DIR-fork-N")
    parser.add_argument("--same-traces", action="store_true", help="take over the traces of generation N, for a change after sampling")
    add_tracker(parser)
    add_inline(parser)
    parser.add_argument("--only-copy", action="store_true", help="make the folder of the new run and stop; the same command without this runs it")
    parser.set_defaults(command=_fork)


def _fork(options: argparse.Namespace) -> int:
    from selfimprove.settings.paths import describe, differences
    from selfimprove.storage.fork import fork
    from selfimprove.storage.kept_source import keep_source, kept_source
    from selfimprove.storage.open_run import reading, writing
    from selfimprove.tracking.named import require
    from selfimprove.workflow.files import load_workflow

    require(options.tracker)
    source = reading(options.source, checkpoints="all")
    file, changes, beside = kept_source(source, options.set)
    workflow, modules = load_workflow(file, changes, beside)
    # A run at a URL is shown without the secrets of its address, which the fork needs.
    place = options.source.rstrip("/") if "://" in options.source else source
    with writing(options.run_dir or f"{place}-fork-{options.from_generation}") as run:
        fork(source, run, options.from_generation, describe(workflow), options.same_traces)
        keep_source(run, file, changes, modules[1:])
        told = {
            "source": str(source),
            "run_dir": str(run),
            "from_generation": options.from_generation,
            "same_traces": options.same_traces,
            "generations": workflow.generations,
            "changed": list(differences(source.settings(), run.settings())),
        }
        if options.only_copy:
            return print_result(told, options, _show_copied)
        return run_workflow(workflow, modules, run, options, opening=_plan(told))


def _plan(fork: dict[str, Any]) -> str:
    """What the fork shares, what it will make, and where."""
    first, last = fork["from_generation"], fork["generations"]
    made = f"runs generation {first}" if first == last else f"runs generations {first} to {last}"
    changed = f" with {'; '.join(fork['changed'])}" if fork["changed"] else ""
    where = f"in {fork['run_dir']}; --only-copy makes the folder alone"
    return f"fork of {fork['source']}: keeps {_kept(fork)}, {made}{changed} {where}"


def _kept(fork: dict[str, Any]) -> str:
    first = fork["from_generation"]
    return f"what is before generation {first}" + (" and its traces" if fork["same_traces"] else "")


def _show_copied(fork: dict[str, Any], console: Console) -> None:
    from rich.text import Text

    from selfimprove.terminal.safe_text import plain_line

    line = f"{fork['run_dir']} has {_kept(fork)}; the same command without --only-copy runs the rest"
    console.print(Text(plain_line(line)), soft_wrap=True)
