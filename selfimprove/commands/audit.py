"""`selfimprove audit`: verify the stored traces with a second verifier and compare."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from types import ModuleType
from typing import TYPE_CHECKING, Any

from selfimprove.commands.parser import Commands, add_output, print_result

if TYPE_CHECKING:
    from selfimprove.storage.run_folder import RunFolder
    from selfimprove.verification.pool import VerifierPool

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
    from selfimprove.commands.second_verdicts import show_audit
    from selfimprove.storage.open_run import reading

    return print_result(audited(reading(options.run_dir), verifier_named(options.verifier)), options, show_audit)


def verifier_named(name: str) -> VerifierPool:
    """One of `VERIFIERS`, with its default settings."""
    import selfimprove
    from selfimprove.verification.pool import VerifierPool

    return VerifierPool(getattr(selfimprove, VERIFIERS[name])())


def audited(run: RunFolder, pool: VerifierPool, ship: Sequence[ModuleType] = ()) -> dict[str, Any]:
    """Second verdicts of this pool: in this process, or in Ray actors if it has several copies. `ship` are modules that actors cannot import."""
    from selfimprove import InlineCluster, RayCluster
    from selfimprove.commands.second_verdicts import audit

    with closing(RayCluster(ship=ship) if pool.resources.copies > 1 else InlineCluster()) as cluster:
        return audit(run, pool, cluster)
