"""The command line: run, fork, check, ask, report, traces, audit, reverify; extra_commands.py has those around a run."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from selfimprove.commands.extra import add_extra_commands
from selfimprove.commands.parser import Parser
from selfimprove.errors import UserError, WorkerFailed
from selfimprove.terminal.exit_codes import INTERRUPTED, REFUSED, one_line

if TYPE_CHECKING:
    from selfimprove.protocols import Verifier
    from selfimprove.storage.run_folder import RunFolder
    from selfimprove.workflow.workflow import Workflow


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
        print(f"selfimprove: {one_line(error)}", file=sys.stderr)
        return REFUSED
    finally:
        signal.signal(signal.SIGTERM, before)


def _take_sigterm_as_ctrl_c() -> None:
    """`ray job stop` and schedulers send SIGTERM where a person presses Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _run(options: argparse.Namespace) -> int:
    from selfimprove.settings.paths import describe
    from selfimprove.storage.open_run import writing
    from selfimprove.workflow.files import load_workflow

    file = Path(options.workflow)
    workflow, module = load_workflow(file, options.set)
    with writing(options.run_dir or runs_folder() / workflow.name) as run:
        run.require_room_for(describe(workflow))
        run.keep_source(file, options.set)
        return _improve(workflow, module, run, options)


def _fork(options: argparse.Namespace) -> int:
    from selfimprove.settings.paths import describe
    from selfimprove.storage.fork import fork
    from selfimprove.storage.open_run import reading, writing
    from selfimprove.workflow.files import load_workflow

    source = reading(options.source, checkpoints="all")
    file, changes = source.source()
    workflow, module = load_workflow(file, [*changes, *options.set])
    with writing(options.run_dir or f"{source}-fork-{options.from_generation}") as run:
        fork(source, run, options.from_generation, describe(workflow))
        run.keep_source(file, [*changes, *options.set])
        return _improve(workflow, module, run, options)


def _improve(workflow: Workflow, module: ModuleType, run: RunFolder, options: argparse.Namespace) -> int:
    from selfimprove.cluster.inline import InlineCluster
    from selfimprove.cluster.ray_cluster import RayCluster
    from selfimprove.loop import improve
    from selfimprove.reports.table import show, summarize
    from selfimprove.terminal.captured_output import noise_into
    from selfimprove.terminal.progress import Show
    from selfimprove.tracking.mlflow import MLflow

    tracker = MLflow(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.root.parent / 'mlflow.db'}")
    with noise_into(run.logs / "driver.log", screen=2 if options.json else 1) as console:
        progress = Show(console)

        def ray_cluster() -> RayCluster:
            cluster = RayCluster(run.logs, ship=[module])
            # Ray has put in place its own way, which is to end without a word.
            _take_sigterm_as_ctrl_c()
            return cluster

        try:
            improve(workflow, run, InlineCluster if options.inline else ray_cluster, tracker, progress)
        finally:
            progress.stop()
    return _print(summarize(run), options, show)


def _audit(options: argparse.Namespace) -> int:
    from selfimprove.commands.audit import audit, show_audit
    from selfimprove.storage.open_run import reading

    return _print(audit(reading(options.run_dir), _verifier(options.verifier)), options, show_audit)


def _reverify(options: argparse.Namespace) -> int:
    from selfimprove.commands.audit import audit, show_reverified
    from selfimprove.storage.open_run import reading
    from selfimprove.workflow.files import load_workflow

    run = reading(options.run_dir)
    if options.verifier:
        return _print(audit(run, _verifier(options.verifier)), options, show_reverified)
    file, changes = run.source()
    workflow, _ = load_workflow(Path(options.workflow) if options.workflow else file, [*changes, *options.set])
    return _print(audit(run, workflow.verifier, workflow.verifier_deadline), options, show_reverified)


def _verifier(name: str) -> Verifier:
    from selfimprove import verification

    verifier: Verifier = getattr(verification, VERIFIERS[name])()
    return verifier


VERIFIERS = {"exact": "Exact", "math": "Mathematical", "reasoning-gym": "ReasoningGymScorer", "choice": "MultipleChoice", "code": "PythonTests"}


def runs_folder() -> Path:
    """Where runs are kept unless told: `runs` in the current folder; a Ray job's current folder is temporary, so there it is in the home folder."""
    here = Path.cwd()
    return Path.home() / "selfimprove-runs" if "working_dir_files" in here.parts else here / "runs"


def _report(options: argparse.Namespace) -> int:
    from selfimprove.reports.table import show, summarize
    from selfimprove.storage.open_run import reading

    run = reading(options.run_dir)
    if options.html is None:
        return _print(summarize(run), options, show)
    from selfimprove.reports.html_report import show_written, write_html

    return _print(write_html(run, Path(options.html) if options.html else None), options, show_written)


def _traces(options: argparse.Namespace) -> int:
    from selfimprove.reports.traces import find, show_traces
    from selfimprove.storage.open_run import reading

    run = reading(options.run_dir)
    return _print(find(run, options.generation, options.outcome, options.problem, options.limit), options, show_traces)


def _check(options: argparse.Namespace) -> int:
    from selfimprove.commands.check import check, show
    from selfimprove.terminal.captured_output import noise_into
    from selfimprove.workflow.files import load_workflow

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


def _parser() -> Parser:
    parser = Parser(prog="selfimprove", description="Teach a language model to reason and let it improve itself.")
    parser.set_defaults(debug=False, parser=parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    inline = "do all work in this one process, without Ray: for debugging"
    changes = Parser(add_help=False)
    changes.add_argument("--set", action="append", default=[], metavar="PART.FIELD=VALUE", help="change one setting; may be given again")
    settings = Parser(add_help=False, parents=[changes])
    settings.add_argument("workflow", metavar="WORKFLOW.py", help="a Python file that defines `workflow`")

    run = commands.add_parser("run", parents=[settings, common], help="run a workflow, or continue it where it stopped")
    run.add_argument("--run-dir", metavar="DIR", help="where everything is kept, a folder or a URL such as s3://BUCKET/NAME; runs/NAME unless given")
    run.add_argument("--inline", action="store_true", help=inline)
    run.set_defaults(command=_run)
    fork = commands.add_parser("fork", parents=[changes, common], help="run on from an earlier generation with other settings, in another folder")
    fork.add_argument("source", metavar="RUN_DIR")
    fork.add_argument("--from-generation", type=int, required=True, metavar="N", help="the first generation that is made anew")
    fork.add_argument("--run-dir", metavar="DIR", help="the new run's folder; RUN_DIR-fork-N unless given")
    fork.add_argument("--inline", action="store_true", help=inline)
    fork.set_defaults(command=_fork)
    check = commands.add_parser("check", parents=[settings, common], help="find what is wrong before compute is spent")
    check.set_defaults(command=_check)
    report = commands.add_parser("report", parents=[common], help="the table of a run, finished or not")
    report.add_argument("run_dir", metavar="RUN_DIR")
    report.add_argument("--html", nargs="?", const="", metavar="FILE", help="a page of charts and traces instead; RUN_DIR/report.html unless given")
    report.set_defaults(command=_report)
    traces = commands.add_parser("traces", parents=[common], help="read what a model thought: its traces, the behaviours of each coloured")
    traces.add_argument("run_dir", metavar="RUN_DIR")
    traces.add_argument("--generation", type=int, metavar="G", help="the generation that sampled them; the last complete one unless given")
    traces.add_argument("--outcome", metavar="OUTCOME", help="only these: correct, wrong, unparseable, timeout or crash")
    traces.add_argument("--problem", metavar="ID", help="only those of this problem")
    traces.add_argument("--limit", type=int, default=10, metavar="N", help="at most so many; 10 unless given")
    traces.set_defaults(command=_traces)
    audit = commands.add_parser("audit", parents=[common], help="judge the stored traces with a second verifier and compare")
    audit.add_argument("run_dir", metavar="RUN_DIR")
    audit.add_argument("--with", dest="verifier", choices=VERIFIERS, required=True, help="the second verifier")
    audit.set_defaults(command=_audit)
    reverify = commands.add_parser("reverify", parents=[changes, common], help="what flips, by generation, with a changed verifier")
    reverify.add_argument("run_dir", metavar="RUN_DIR")
    reverify.add_argument("--with", dest="verifier", choices=VERIFIERS, help="another verifier; that of the workflow's file unless given")
    reverify.add_argument("--workflow", metavar="WORKFLOW.py", help="take the verifier from this file; from the one that the run keeps unless given")
    reverify.set_defaults(command=_reverify)
    add_extra_commands(commands, settings, common)
    return parser


if __name__ == "__main__":
    sys.exit(main())
