"""Asks a checkpoint one question and shows the answer on the terminal as it is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pydantic
from rich.console import Console
from rich.text import Text

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.errors import UserError
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.records import Problem, Request, Trace
from selfimprove.records.budgets import Budget
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.records.foreign_text import has_lone_surrogate, storable
from selfimprove.sampling.open_vllm import OpenVLLM
from selfimprove.sampling.sampling import Sampling
from selfimprove.sampling.vllm_engine import VLLM
from selfimprove.settings.paths import explain
from selfimprove.storage.hashes import require_folder_unchanged
from selfimprove.terminal.safe_text import plain_text
from selfimprove.thinking.traces import Parsed, parse, parsed


def budget_of(least: int | None, most: int | None, thoughts: str | None, think: bool) -> Budget | None:
    """The thinking budget from the command line, or None without limits.

    Args:
        least, most: minimum and maximum number of thinking tokens.
        thoughts: `A:B`, at least A and at most B thoughts; either may be left out.
        think: False for an empty thinking block.

    Raises:
        UserError: a limit is not a number, or the limits contradict each other.
    """
    if not think:
        if least or most or thoughts:
            raise UserError("--no-think leaves no thinking to limit: remove it, or the other limits of thinking")
        return Budget(max_tokens=0)
    if least is None and most is None and thoughts is None:
        return None
    low, _, high = (thoughts or "").partition(":")
    try:
        return Budget(min_tokens=least or 0, max_tokens=most, min_thoughts=int(low or 0), max_thoughts=int(high) if high else None)
    except pydantic.ValidationError as error:
        raise UserError(f"limits of thinking: {explain(error)}") from error
    except ValueError as error:
        raise UserError(f"--thoughts {thoughts}: give A:B, two whole numbers; either may be left out") from error


def answer(
    model: str, question: str, budget: Budget | None, max_tokens: int, temperature: float, seed: int, console: Console | None, hide: bool
) -> dict[str, Any]:
    """Ask, and write the answer on the console as it comes, with the thinking dimmed or hidden.

    Returns:
        `{"thinking": text or None, "answer": text or None, "output_tokens", "forced": spans of tokens that
        the budget wrote, "finish_reason"}`.

    Raises:
        UserError: the model does not exist or is damaged, or the question does not fit its context.
    """
    if has_lone_surrogate(question):
        raise UserError("QUESTION is not UTF-8 text; encode it so")
    try:
        Sampling(n=1, temperature=temperature, max_tokens=max_tokens)
    except pydantic.ValidationError as error:
        raise UserError(f"sampling: {explain(error)}") from error
    if Path(model).is_dir():
        require_folder_unchanged(Path(model).resolve())
    checkpoint = describe_folder(resolve_model(model, served=True), Path(model).name)
    problem = Problem("question", question, "", "command line")
    request = Request("question", problem.id, PlainQuestion().messages(problem), temperature, 1.0, max_tokens, seed, THINK, budget)
    sampler = VLLM()
    os.environ.update(sampler.environment())
    engine, screen = sampler.open(), _Screen(console, hide)
    try:
        trace = _watch(engine, checkpoint, request, screen)
    finally:
        engine.close()
    parts = parsed(trace)
    return {
        "thinking": parts.thinking and storable(parts.thinking),
        "answer": parts.answer and storable(parts.answer),
        "output_tokens": len(trace.output_token_ids),
        "forced": [list(span) for span in trace.forced],
        "finish_reason": trace.finish_reason,
    }


def _watch(engine: OpenVLLM, checkpoint: Any, request: Request, screen: _Screen) -> Trace:
    for item in engine.watch(checkpoint, request):
        if isinstance(item, Trace):
            screen.show(item.text, parsed(item), None)
            return item
        text, opened = item
        screen.show(text, parse(text, request.delimiters, opened), request.delimiters)
    raise AssertionError("the engine ended without a trace")


class _Screen:
    """Writes each part of the output on the terminal once."""

    def __init__(self, console: Console | None, hide: bool) -> None:
        self._console, self._hide, self._shown, self._begun = console, hide, 0, False

    def show(self, text: str, parts: Parsed, delimiters: Delimiters | None) -> None:
        """Write what is new. Characters that may begin a delimiter wait for the rest; `delimiters` is None once the text is complete."""
        end = len(parts.before + parts.opening + (parts.thinking or "") + parts.closing) if parts.thinking is not None else 0
        ready = len(text) - (_held_back(text, delimiters) if delimiters else 0)
        self._add(text[self._shown : min(end, ready)], thinking=True)
        self._shown = max(self._shown, min(end, ready))
        if parts.thinking is None or parts.closing:
            self._add(text[self._shown : ready], thinking=False)
            self._shown = max(self._shown, ready)
        if self._console and delimiters is None:
            self._console.print()

    def _add(self, text: str, thinking: bool) -> None:
        if self._hide:
            # Blank lines between hidden thinking and the answer are hidden too.
            text = "" if thinking else text if self._begun else text.lstrip()
        self._begun |= bool(text)
        if self._console and text:
            self._console.print(Text(plain_text(text), "dim" if thinking else ""), end="", soft_wrap=True)


def _held_back(text: str, delimiters: Delimiters) -> int:
    """Number of characters at the end that may begin a delimiter."""
    both = (delimiters.begin, delimiters.end)
    return max((size for mark in both for size in range(1, len(mark)) if text.endswith(mark[:size])), default=0)
