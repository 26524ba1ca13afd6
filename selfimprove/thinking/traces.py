"""Splits the text of a reasoning trace into thinking and answer, and joins them again."""

from __future__ import annotations

from dataclasses import dataclass

from selfimprove.records import Trace
from selfimprove.records.delimiters import THINK, Delimiters


@dataclass(frozen=True, slots=True)
class Parsed:
    """The parts of a trace: `before + opening + thinking + closing + after` is exactly its text."""

    before: str
    """Text before the thinking; the whole text if there is no block of thinking."""
    opening: str
    """The begin delimiter; empty if the prompt holds it or there is no block."""
    thinking: str | None
    """Text inside the first block, up to the end of the text if the block is not closed; None if there is no block."""
    closing: str
    """The end delimiter; empty if the block is not closed."""
    after: str
    """Text after the first block."""
    flags: frozenset[str]
    """`missing`: no block; `unclosed`: no end delimiter; `empty`: only white space inside; `nested`: another begin delimiter inside; `repeated`: a
    delimiter after the block."""

    @property
    def answer(self) -> str | None:
        """Text after the first block, stripped; the whole text if there is no block.

        None if the block is not closed, or if only white space follows.
        """
        return (self.before if self.thinking is None else self.after).strip() or None


def parse(text: str, delimiters: Delimiters = THINK, opened: bool = False) -> Parsed:
    """The parts of any text.

    The block runs from the first begin delimiter to the first end delimiter after it. `opened` says that the prompt ends with the begin delimiter, so
    that the text starts inside the block.
    """
    before, opening, rest = ("", "", text) if opened else text.partition(delimiters.begin)
    if not (opened or opening):
        return Parsed(before, "", None, "", "", frozenset({"missing"}))
    thinking, closing, after = rest.partition(delimiters.end)
    found = {
        "unclosed": not closing,
        "empty": not thinking.strip(),
        "nested": delimiters.begin in thinking,
        "repeated": delimiters.begin in after or delimiters.end in after,
    }
    return Parsed(before, opening, thinking, closing, after, frozenset(flag for flag, holds in found.items() if holds))


def parsed(trace: Trace) -> Parsed:
    """The parts of a trace by its own delimiters."""
    return parse(trace.text, trace.delimiters, trace.opened)


def render(parsed: Parsed) -> str:
    """The text that was parsed."""
    return parsed.before + parsed.opening + (parsed.thinking or "") + parsed.closing + parsed.after
