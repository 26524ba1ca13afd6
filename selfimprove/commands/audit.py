"""`selfimprove audit`: verify the stored traces with a second verifier and compare."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from selfimprove.commands.parser import Commands, add_output, print_result

if TYPE_CHECKING:
    from selfimprove.protocols import Verifier

VERIFIERS = {"exact": "Exact", "math": "Mathematical", "reasoning-gym": "ReasoningGymScorer", "choice": "MultipleChoice", "code": "PythonTests"}
"""Verifiers that the command line names, and their classes."""


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("audit", help="verify the stored traces with a second verifier and compare")
    add_output(parser)
    parser.add_argument("run_dir", metavar="RUN_DIR")
    parser.add_argument("--with", dest="verifier", choices=VERIFIERS, required=True, help="the second verifier")
    parser.set_defaults(command=_audit)


def _audit(options: argparse.Namespace) -> int:
    from selfimprove.commands.second_verdicts import audit, show_audit
    from selfimprove.storage.open_run import reading

    return print_result(audit(reading(options.run_dir), verifier_named(options.verifier)), options, show_audit)


def verifier_named(name: str) -> Verifier:
    """One of `VERIFIERS`, with its default settings."""
    import selfimprove

    verifier: Verifier = getattr(selfimprove, VERIFIERS[name])()
    return verifier
