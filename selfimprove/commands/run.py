"""`selfimprove run`: run a workflow, or continue it."""

from __future__ import annotations

import argparse
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from selfimprove.commands.parser import Commands, add_inline, add_output, add_tracker, add_workflow, print_result

MOST_SEEDS = 100
"""Seeds of one command at most."""

if TYPE_CHECKING:
    from selfimprove.cluster.ray_cluster import RayCluster
    from selfimprove.storage.run_folder import RunFolder
    from selfimprove.workflow.workflow import Workflow


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("run", help="run a workflow, or continue it where it stopped")
    add_workflow(parser)
    add_output(parser)
    parser.add_argument("--run-dir", metavar="DIR", help="folder of the run, or a URL such as s3://BUCKET/NAME; default: runs/NAME")
    told = "run once for each seed (1,2,3 or 1-5), in DIR-seed1 and so on, and report means and intervals"
    parser.add_argument("--seeds", type=seeds, metavar="SEEDS", help=told)
    add_tracker(parser)
    add_inline(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from selfimprove.settings.paths import describe
    from selfimprove.storage.kept_source import keep_source
    from selfimprove.storage.open_run import writing
    from selfimprove.tracking.named import require
    from selfimprove.workflow.files import load_workflow

    require(options.tracker)
    if options.seeds:
        from selfimprove.commands.run_seeds import run_seeds

        return run_seeds(options)
    file = Path(options.workflow)
    workflow, modules = load_workflow(file, options.set)
    with writing(options.run_dir or runs_folder() / workflow.name) as run:
        run.require_room_for(describe(workflow))
        keep_source(run, file, options.set, modules[1:])
        return run_workflow(workflow, modules, run, options)


def seeds(text: str) -> list[int]:
    """The seeds that `1,2,3` or `1-5` name. Raises ArgumentTypeError."""
    found: list[int] = []
    for part in text.split(","):
        if not (named := re.fullmatch(r"\s*([0-9]{1,15})(?:-([0-9]{1,15}))?\s*", part)):
            raise argparse.ArgumentTypeError(f"expected whole numbers from 0 on, as in 1,2,3 or 1-5, not {text!r}")
        first, last = int(named[1]), int(named[2] or named[1])
        if not first <= last < first + MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"{part.strip()} is no range of up to {MOST_SEEDS} seeds; give the lower number first")
        found += range(first, last + 1)
    if len(found) > MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"{len(found)} seeds are more than {MOST_SEEDS}; name fewer")
    if twice := [seed for seed in found if found.count(seed) > 1]:
        raise argparse.ArgumentTypeError(f"the seed {twice[0]} is named twice; leave out one of them")
    return found


def runs_folder() -> Path:
    """Where runs go without `--run-dir`: `runs` in the current folder; in a Ray job, whose folder is temporary, `selfimprove-runs` at home."""
    here = Path.cwd()
    return Path.home() / "selfimprove-runs" if "working_dir_files" in here.parts else here / "runs"


def run_workflow(workflow: Workflow, modules: Sequence[ModuleType], run: RunFolder, options: argparse.Namespace, opening: str = "") -> int:
    """Improve the model as the workflow says, show the progress after an `opening` line, and print the table of the run."""
    from selfimprove.reports.table import show, summarize

    improve_shown(workflow, modules, run, options, opening)
    return print_result(summarize(run), options, show)


def improve_shown(
    workflow: Workflow,
    modules: Sequence[ModuleType],
    run: RunFolder,
    options: argparse.Namespace,
    opening: str = "",
    part: str = "",
    group: str | None = None,
) -> None:
    """Improve the model as the workflow says, and show the progress after an `opening` line.

    Args:
        part: What begins every line of the progress, where the run is one of several.
        group: Group of the run in its trackers.
    """
    from selfimprove.cluster.inline import InlineCluster
    from selfimprove.cluster.ray_cluster import RayCluster
    from selfimprove.loop import improve
    from selfimprove.terminal.captured_output import capture_output
    from selfimprove.terminal.progress import PROGRESS, TerminalProgress
    from selfimprove.tracking.named import trackers

    chosen = trackers(options.tracker, run.root, group)
    with capture_output(run.logs / "driver.log", screen=2 if options.json else 1) as console:
        progress = TerminalProgress(console, run.logs / PROGRESS, part)
        if opening:
            progress.say(opening)

        def ray_cluster() -> RayCluster:
            cluster = RayCluster(run.logs, ship=modules)
            # Ray has installed a handler of its own, which ends the process without a word.
            handle_sigterm_like_ctrl_c()
            return cluster

        try:
            improve(workflow, run, InlineCluster if options.inline else ray_cluster, chosen, progress)
        finally:
            progress.stop()


def handle_sigterm_like_ctrl_c() -> None:
    """Raise `KeyboardInterrupt` on SIGTERM, which `ray job stop` and schedulers send where a person presses Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
