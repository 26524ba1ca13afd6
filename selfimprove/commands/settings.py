"""`selfimprove settings`: list the settings of a workflow."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfimprove.commands.parser import Commands, add_output, add_workflow, print_result


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("settings", help="list every setting of a workflow by the path that --set takes")
    add_workflow(parser)
    add_output(parser)
    parser.set_defaults(command=_settings)


def _settings(options: argparse.Namespace) -> int:
    from selfimprove.commands.settings_list import list_settings, show_settings
    from selfimprove.workflow.files import load_workflow

    workflow, _ = load_workflow(Path(options.workflow), options.set)
    return print_result(list_settings(workflow), options, show_settings)
