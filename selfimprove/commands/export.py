"""`selfimprove export`: lay out the champion and its traces for the Hugging Face hub and for `vllm serve`."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfimprove.commands.parser import Commands, add_output, print_result


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("export", help="lay out the champion and its traces for the hub and for vllm serve")
    add_output(parser)
    parser.add_argument("run_dir", metavar="RUN_DIR")
    parser.add_argument("folder", metavar="DIR", help="new folder for model/ and traces/, each with its card")
    parser.add_argument("--license", metavar="ID", help="license of the model and the traces, as the hub names it: apache-2.0, mit, …")
    parser.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> int:
    from selfimprove.commands.hub_folders import export, show_exported
    from selfimprove.storage.open_run import reading

    result = export(reading(options.run_dir, checkpoints="champion"), Path(options.folder), options.license)
    return print_result(result, options, show_exported)
