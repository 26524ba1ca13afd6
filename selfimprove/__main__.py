"""The command line: builds the parser, runs the command, and turns its errors into exit codes."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import Any

from selfimprove.commands import ask, audit, check, compare, completion, export, fork, init, report, reverify, run, settings, traces, verify
from selfimprove.commands.parser import Parser
from selfimprove.errors import UserError, WorkerFailed
from selfimprove.terminal.closed_output import OutputClosed, noticing_closed_output
from selfimprove.terminal.exit_codes import INTERRUPTED, REFUSED, UNREAD, ended_by, hide_secrets_in_tracebacks, one_line

# In the order of the help.
COMMANDS = (run, fork, check, report, compare, traces, audit, reverify, verify, init, settings, ask, export, completion)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0 on success, 1 if a check fails, 2 if the input is wrong or a worker failed, 130 after Ctrl-C or SIGTERM, 141 if nobody reads
        the output any more.
    """
    hide_secrets_in_tracebacks()
    try:
        with noticing_closed_output():
            return _ended(arguments)
    except OutputClosed:
        return UNREAD


def _ended(arguments: Sequence[str] | None) -> int:
    """Run a command; the exit code, or `SystemExit` after `--help` and errors of the arguments."""
    options = _parser().parse_args(arguments)
    if any("\0" in argument for argument in arguments or ()):
        print("selfimprove: an argument holds a NUL character, which no path or setting can; remove it", file=sys.stderr)
        return REFUSED
    before = signal.getsignal(signal.SIGTERM)
    run.handle_sigterm_like_ctrl_c()
    try:
        with noticing_closed_output():
            status: int = options.command(options)
        return status
    except OutputClosed:
        return UNREAD
    except KeyboardInterrupt:
        print("selfimprove: interrupted; the same command continues where it stopped", file=sys.stderr)
        return INTERRUPTED
    except (UserError, WorkerFailed, OSError) as error:
        if options.debug:
            raise
        print(f"selfimprove: {one_line(error)}", file=sys.stderr)
        return REFUSED
    except SystemExit as error:
        if options.debug:
            raise UserError(ended_by(error)) from error
        print(f"selfimprove: {ended_by(error)}", file=sys.stderr)
        return REFUSED
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> Parser:
    parser = Parser(prog="selfimprove", description="Teach a language model to reason and let it improve itself.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.set_defaults(debug=False, parser=parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        from importlib.metadata import version

        print(f"selfimprove {version('selfimprove')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
