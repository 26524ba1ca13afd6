"""`selfimprove verify`: compare the files of a run with the hashes that were recorded when they were written."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from selfimprove.commands.parser import Commands, add_output, print_result

if TYPE_CHECKING:
    from rich.console import Console


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("verify", help="compare the files of a run with the hashes that were recorded when they were written")
    add_output(parser)
    parser.add_argument("run_dir", metavar="RUN_DIR")
    parser.set_defaults(command=_verify)


def _verify(options: argparse.Namespace) -> int:
    from selfimprove.storage.open_run import reading
    from selfimprove.storage.verify import verify
    from selfimprove.terminal.exit_codes import REFUSED

    found = verify(reading(options.run_dir, checkpoints="all"))
    print_result(found, options, _show)
    return REFUSED if found["differs"] else 0


def _show(found: Mapping[str, Any], console: Console) -> None:
    from rich.text import Text

    from selfimprove.terminal.safe_text import plain_text

    for one in found["differs"]:
        console.print(Text(plain_text(f"{one['file']} {one['how']}")), soft_wrap=True)
    count = len(found["differs"])
    ends = f"; {count} differ{'s' if count == 1 else ''}" if count else ": nothing differs"
    for name in found["removed"]:
        console.print(Text(plain_text(f"{name} was removed by the run (keep_checkpoints)")), soft_wrap=True)
    console.print(Text(f"{found['files']:,} files with {found['bytes'] / 1e6:,.1f} MB agree with their hashes{ends}"), soft_wrap=True)
