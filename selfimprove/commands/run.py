"""`selfimprove run`: run a workflow, or continue it."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from selfimprove.commands.parser import Commands, add_inline, add_output, add_tracker, add_workflow, print_result

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
    add_tracker(parser)
    add_inline(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from selfimprove.settings.paths import describe
    from selfimprove.storage.open_run import writing
    from selfimprove.tracking.named import require
    from selfimprove.workflow.files import load_workflow

    require(options.tracker)
    file = Path(options.workflow)
    workflow, modules = load_workflow(file, options.set)
    with writing(options.run_dir or runs_folder() / workflow.name) as run:
        run.require_room_for(describe(workflow))
        run.keep_source(file, options.set, modules[1:])
        return run_workflow(workflow, modules, run, options)


def runs_folder() -> Path:
    """Where runs go without `--run-dir`: `runs` in the current folder; in a Ray job, whose folder is temporary, `selfimprove-runs` at home."""
    here = Path.cwd()
    return Path.home() / "selfimprove-runs" if "working_dir_files" in here.parts else here / "runs"


def run_workflow(workflow: Workflow, modules: Sequence[ModuleType], run: RunFolder, options: argparse.Namespace, opening: str = "") -> int:
    """Improve the model as the workflow says, show the progress after an `opening` line, and print the table of the run."""
    from selfimprove.cluster.inline import InlineCluster
    from selfimprove.cluster.ray_cluster import RayCluster
    from selfimprove.loop import improve
    from selfimprove.reports.table import show, summarize
    from selfimprove.terminal.captured_output import capture_output
    from selfimprove.terminal.progress import PROGRESS, TerminalProgress
    from selfimprove.tracking.named import trackers

    chosen = trackers(options.tracker, run.root)
    with capture_output(run.logs / "driver.log", screen=2 if options.json else 1) as console:
        progress = TerminalProgress(console, run.logs / PROGRESS)
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
    return print_result(summarize(run), options, show)


def handle_sigterm_like_ctrl_c() -> None:
    """Raise `KeyboardInterrupt` on SIGTERM, which `ray job stop` and schedulers send where a person presses Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
