"""`selfimprove completion`: print a shell's completion script."""

from __future__ import annotations

import argparse

from selfimprove.commands.parser import Commands

SHELLS = ("bash", "zsh", "fish")


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("completion", help='print a completion script: eval "$(selfimprove completion bash)"')
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(command=_completion)


def _completion(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(options.parser, options.shell))
    return 0
