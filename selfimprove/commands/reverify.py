"""`selfimprove reverify`: count the verdicts that change with another verifier."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfimprove.commands.audit import audited
from selfimprove.commands.named_verifier import add_with
from selfimprove.commands.parser import Commands, add_output, add_set, print_result


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("reverify", help="count, by generation, the verdicts that change with another verifier")
    add_set(parser)
    add_output(parser)
    parser.add_argument("run_dir", metavar="RUN_DIR")
    add_with(parser, "another verifier; default: the one of the workflow")
    parser.add_argument("--workflow", metavar="WORKFLOW.py", help="file to take the verifier from; default: the copy that the run keeps")
    parser.set_defaults(command=_reverify)


def _reverify(options: argparse.Namespace) -> int:
    from selfimprove.commands.named_verifier import named_verifier
    from selfimprove.commands.second_verdicts import show_reverified
    from selfimprove.storage.kept_source import kept_source
    from selfimprove.storage.open_run import reading
    from selfimprove.verification.pool import VerifierPool
    from selfimprove.workflow.files import load_workflow

    run = reading(options.run_dir)
    if options.verifier:
        return print_result(audited(run, VerifierPool(named_verifier(options.verifier, options.set))), options, show_reverified)
    file = Path(options.workflow) if options.workflow else None
    workflow, modules = load_workflow(*kept_source(run, options.set, file))
    return print_result(audited(run, workflow.verifiers, modules), options, show_reverified)
