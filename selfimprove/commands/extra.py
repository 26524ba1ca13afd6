"""The commands around a run: init and settings before it, ask and export after it, completion for the shell."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import tempfile
from pathlib import Path
from typing import Any

from selfimprove.commands.parser import Parser
from selfimprove.errors import UserError

SHELLS = ("bash", "zsh", "fish")


def add_extra_commands(commands: Any, workflow: Parser, common: Parser) -> None:
    """Add them to the parser's commands; `workflow` and `common` hold the arguments that they share with others."""
    init = commands.add_parser("init", parents=[common], help="write a workflow to edit")
    init.add_argument("file", metavar="FILE", nargs="?", default="experiment.py", help="experiment.py unless given")
    init.set_defaults(command=_init)
    settings = commands.add_parser("settings", parents=[workflow, common], help="every setting of a workflow, by the path that --set takes")
    settings.set_defaults(command=_settings)
    ask = commands.add_parser("ask", parents=[common], help="ask a checkpoint one question and watch it think")
    ask.add_argument("model", metavar="CHECKPOINT", help="a folder, such as RUN_DIR/champion, or a Hugging Face id")
    ask.add_argument("question", metavar="QUESTION")
    ask.add_argument("--no-think", action="store_true", help="answer at once, after an empty block of thinking")
    ask.add_argument("--hide-thinking", action="store_true", help="think, but show the answer alone")
    ask.add_argument("--min-thinking", type=int, metavar="N", help="think for at least so many tokens")
    ask.add_argument("--max-thinking", type=int, metavar="N", help="think for at most so many tokens")
    ask.add_argument("--thoughts", metavar="A:B", help="at least A thoughts and at most B; either may be left out")
    ask.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="the most tokens of thinking and answer; 1024 unless given")
    ask.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0, greedy, unless given")
    ask.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn where T is above 0")
    ask.set_defaults(command=_ask)
    export = commands.add_parser("export", parents=[common], help="lay out the champion and its traces for the hub and for vllm serve")
    export.add_argument("run_dir", metavar="RUN_DIR")
    export.add_argument("folder", metavar="DIR", help="a new folder: model/ and traces/ in it, each with its card")
    export.add_argument("--license", metavar="ID", help="of model and traces, as the hub names it: apache-2.0, mit, …")
    export.set_defaults(command=_export)
    completion = commands.add_parser("completion", help='what a shell needs to complete commands: eval "$(selfimprove completion bash)"')
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(command=_completion)


def _init(options: argparse.Namespace) -> int:
    file = Path(options.file)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.") or "experiment"
    text = (Path(__file__).parent / "templates" / "experiment.py").read_text()
    try:
        with file.open("x") as new:
            new.write(text.replace('name="experiment"', f'name="{name}"'))
    except FileExistsError as error:
        raise UserError(f"{file} exists; give another FILE, or remove it") from error
    result = {"file": str(file), "next": [f"selfimprove {command} {shlex.quote(str(file))}" for command in ("settings", "check", "run")]}
    print(json.dumps(result, indent=2) if options.json else "\n".join([f"wrote {file}; edit it, then:", *(f"  {line}" for line in result["next"])]))
    return 0


def _settings(options: argparse.Namespace) -> int:
    from rich.console import Console

    from selfimprove.commands.settings import list_settings, show_settings
    from selfimprove.workflow.files import load_workflow

    workflow, _ = load_workflow(Path(options.workflow), options.set)
    listed = list_settings(workflow)
    if options.json:
        print(json.dumps(listed, indent=2, ensure_ascii=False))
    else:
        show_settings(listed, Console())
    return 0


def _ask(options: argparse.Namespace) -> int:
    from selfimprove.commands.ask import answer, budget_of
    from selfimprove.terminal.captured_output import noise_into

    budget = budget_of(options.min_thinking, options.max_thinking, options.thoughts, not options.no_think)
    with tempfile.TemporaryDirectory() as folder, noise_into(Path(folder) / "ask.log") as console:
        shown = None if options.json else console
        told = answer(options.model, options.question, budget, options.max_tokens, options.temperature, options.seed, shown, options.hide_thinking)
    if options.json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    return 0


def _export(options: argparse.Namespace) -> int:
    from selfimprove.commands.export import export
    from selfimprove.storage.open_run import reading

    result = export(reading(options.run_dir, checkpoints="champion"), Path(options.folder), options.license)
    if options.json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        print("\n".join([f"{result['model']} and {result['traces']} are ready:", *(f"  {line}" for line in result["next"])]))
    return 0


def _completion(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(options.parser, options.shell))
    return 0
