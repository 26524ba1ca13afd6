"""The command line: run, check, report."""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfimprove.errors import UserError, WorkerFailed

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 on success, 1 where a check fails, 2 where the input is at fault, 130 after Ctrl-C or SIGTERM."""
    options = _parser().parse_args(arguments)
    before = signal.getsignal(signal.SIGTERM)
    _take_sigterm_as_ctrl_c()
    try:
        status: int = options.command(options)
        return status
    except KeyboardInterrupt:
        print("selfimprove: interrupted; the same command continues where it stopped", file=sys.stderr)
        return INTERRUPTED
    except (UserError, WorkerFailed, OSError) as error:
        if options.debug:
            raise
        print(f"selfimprove: {_one_line(error)}", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGTERM, before)


def _take_sigterm_as_ctrl_c() -> None:
    """`ray job stop` and schedulers send SIGTERM where a person presses Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left{f' for {error.filename}' if error.filename else ''}: free some; the same command continues where it stopped"
    return " ".join(str(error).split()) or type(error).__name__


def _run(options: argparse.Namespace) -> int:
    from selfimprove.cluster.inline import InlineCluster
    from selfimprove.cluster.ray_actors import RayCluster
    from selfimprove.loop import improve
    from selfimprove.reporting.noise import noise_into
    from selfimprove.reporting.progress import Show
    from selfimprove.reporting.summary import show, summarize
    from selfimprove.settings import describe
    from selfimprove.storage.run_folder import RunFolder
    from selfimprove.tracking.mlflow import MLflow
    from selfimprove.workflow_files import load_workflow

    workflow, module = load_workflow(Path(options.workflow), options.set)
    run = RunFolder(Path(options.run_dir) if options.run_dir else runs_folder() / workflow.name)
    run.require_room_for(describe(workflow))
    tracker = MLflow(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.root.parent / 'mlflow.db'}")
    with noise_into(run.logs / "driver.log", screen=2 if options.json else 1) as console:
        progress = Show(console)

        def ray_cluster() -> RayCluster:
            cluster = RayCluster(run.logs, ship=[module])
            # Ray has put in place its own way, which is to end without a word.
            _take_sigterm_as_ctrl_c()
            return cluster

        try:
            improve(workflow, run.root, InlineCluster if options.inline else ray_cluster, tracker, progress)
        finally:
            progress.stop()
    return _print(summarize(run), options, show)


def runs_folder() -> Path:
    """Where runs are kept unless told: `runs` in the current folder; a Ray job's current folder is temporary, so there it is in the home folder."""
    here = Path.cwd()
    return Path.home() / "selfimprove-runs" if "working_dir_files" in here.parts else here / "runs"


def _report(options: argparse.Namespace) -> int:
    from selfimprove.reporting.summary import show, summarize
    from selfimprove.storage.run_folder import RunFolder

    return _print(summarize(RunFolder(Path(options.run_dir))), options, show)


def _check(options: argparse.Namespace) -> int:
    from selfimprove.check import check, show
    from selfimprove.reporting.noise import noise_into
    from selfimprove.workflow_files import load_workflow

    workflow, _ = load_workflow(Path(options.workflow), options.set)
    with tempfile.TemporaryDirectory() as folder, noise_into(Path(folder) / "check.log"):
        findings = check(workflow)
    _print(findings, options, show)
    return 0 if findings["passed"] else 1


def _print(result: dict[str, Any], options: argparse.Namespace, show: Any) -> int:
    if options.json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        from rich.console import Console

        show(result, Console())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfimprove", description="Teach a language model to reason and let it improve itself.")
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    settings = argparse.ArgumentParser(add_help=False)
    settings.add_argument("workflow", metavar="WORKFLOW.py", help="a Python file that defines `workflow`")
    settings.add_argument("--set", action="append", default=[], metavar="PART.FIELD=VALUE", help="change one setting; may be given again")

    run = commands.add_parser("run", parents=[settings, common], help="run a workflow, or continue it where it stopped")
    run.add_argument("--run-dir", metavar="DIR", help="where everything is kept; runs/NAME unless given")
    run.add_argument("--inline", action="store_true", help="do all work in this one process, without Ray: for debugging")
    run.set_defaults(command=_run)
    check = commands.add_parser("check", parents=[settings, common], help="find what is wrong before compute is spent")
    check.set_defaults(command=_check)
    report = commands.add_parser("report", parents=[common], help="the table of a run, finished or not")
    report.add_argument("run_dir", metavar="RUN_DIR")
    report.set_defaults(command=_report)
    return parser


if __name__ == "__main__":
    sys.exit(main())
