"""Takes the text of a reasoning trace apart into thinking and answer, and puts it together again."""

from __future__ import annotations

from dataclasses import dataclass

from selfimprove.records import Trace
from selfimprove.records.delimiters import THINK, Delimiters


@dataclass(frozen=True, slots=True)
class Parsed:
    """A trace in its parts: `before + opening + thinking + closing + after` is its text, to the letter."""

    before: str
    """What precedes the thinking; the whole text where there is no block of thinking."""
    opening: str
    """The begin delimiter; empty where the prompt holds it, and where there is no block."""
    thinking: str | None
    """What is inside the first block, up to the end of the text when it never ends; None where there is no block."""
    closing: str
    """The end delimiter; empty where the thinking never ends."""
    after: str
    """All that follows the first block."""
    flags: frozenset[str]
    """`missing`: no block; `unclosed`: it never ends; `empty`: nothing but white space in it; `nested`: it begins again inside;
    `repeated`: a delimiter follows it."""

    @property
    def answer(self) -> str | None:
        """What follows the first block, or the whole text where there is no block, stripped.

        None where the thinking never ended, and where nothing but white space is left.
        """
        return (self.before if self.thinking is None else self.after).strip() or None


def parse(text: str, delimiters: Delimiters = THINK, opened: bool = False) -> Parsed:
    """The parts of a trace, for any text at all.

    The block runs from the first begin delimiter to the first end delimiter after it. `opened` says that the prompt
    ended with the begin delimiter, so that the text starts inside the block.
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
