"""`selfimprove audit`: verify the stored traces with a second verifier, or compare their verdicts with labels."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from selfimprove.commands.named_verifier import add_with
from selfimprove.commands.parser import Commands, add_output, print_result

if TYPE_CHECKING:
    from selfimprove.storage.run_folder import RunFolder
    from selfimprove.verification.pool import VerifierPool


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("audit", help="verify the stored traces with a second verifier and compare")
    add_output(parser)
    parser.add_argument("run_dir", metavar="RUN_DIR")
    add_with(parser, "the second verifier")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change one setting of the second verifier; may be repeated"
    )
    parser.add_argument("--labels", metavar="FILE", help='JSON lines {"trace_id": …, "correct": true or false}, in place of the stored verdicts')
    parser.add_argument("--sample", type=int, metavar="N", help="compare N traces, drawn at random; default: all")
    parser.set_defaults(command=_audit)


def _audit(options: argparse.Namespace) -> int:
    from selfimprove.commands.labels import read_labels
    from selfimprove.commands.named_verifier import named_verifier
    from selfimprove.commands.second_verdicts import show_audit
    from selfimprove.errors import UserError
    from selfimprove.storage.open_run import reading
    from selfimprove.verification.pool import VerifierPool

    if not (options.verifier or options.labels):
        raise UserError("name a second verifier (--with), or labels to compare the stored verdicts with (--labels)")
    if options.sample is not None and options.sample < 1:
        raise UserError(f"--sample {options.sample}: give 1 or more")
    run = reading(options.run_dir)
    labels = read_labels(Path(options.labels)) if options.labels else None
    pool = VerifierPool(named_verifier(options.verifier, options.set)) if options.verifier else None
    return print_result(audited(run, pool, labels=labels, sample=options.sample), options, show_audit)


def audited(run: RunFolder, pool: VerifierPool | None, ship: Sequence[ModuleType] = (), **chosen: Any) -> dict[str, Any]:
    """Second verdicts of this pool: in this process, or in Ray actors if it has several copies. `ship` are modules that actors cannot import."""
    from selfimprove import InlineCluster, RayCluster
    from selfimprove.commands.second_verdicts import audit

    with closing(RayCluster(ship=ship) if pool and pool.resources.copies > 1 else InlineCluster()) as cluster:
        return audit(run, pool, cluster, **chosen)
