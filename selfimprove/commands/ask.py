"""`selfimprove ask`: ask a checkpoint one question and watch it think."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from selfimprove.commands.parser import Commands, add_output, print_json


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("ask", help="ask a checkpoint one question and watch it think")
    add_output(parser)
    parser.add_argument("model", metavar="CHECKPOINT", help="a folder, such as RUN_DIR/champion, or a Hugging Face id")
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--no-think", action="store_true", help="answer at once, after an empty thinking block")
    parser.add_argument("--hide-thinking", action="store_true", help="think, but show only the answer")
    parser.add_argument("--min-thinking", type=int, metavar="N", help="minimum number of thinking tokens")
    parser.add_argument("--max-thinking", type=int, metavar="N", help="maximum number of thinking tokens")
    parser.add_argument("--thoughts", metavar="A:B", help="at least A and at most B thoughts; either may be left out")
    parser.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="maximum number of tokens, thinking included; default: 1024")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="sampling temperature; default: 0, greedy")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the sampling at a temperature above 0")
    parser.set_defaults(command=_ask)


def _ask(options: argparse.Namespace) -> int:
    from selfimprove.commands.answer import answer, budget_of
    from selfimprove.errors import UserError
    from selfimprove.terminal.captured_output import capture_output

    budget = budget_of(options.min_thinking, options.max_thinking, options.thoughts, not options.no_think)
    folder, told = Path(tempfile.mkdtemp(prefix="selfimprove-ask-")), False
    try:
        with capture_output(folder / "ask.log") as console:
            shown = None if options.json else console
            result = answer(
                options.model, options.question, budget, options.max_tokens, options.temperature, options.seed, shown, options.hide_thinking
            )
    except UserError as error:
        told = str(folder) in str(error)
        raise
    finally:
        # A line that names the log needs it.
        if not told:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print_json(result)
    return 0
