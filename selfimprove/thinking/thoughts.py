"""Splits thinking into thoughts: `rationale = [thought 1, …, thought n]`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LEAD = r"(?:(?:but|or|oh|ah|hm++|um++|no|okay|ok|so|and)(?:,|\.\.\.|…|\.)? )?"
WAIT = (
    r"wait(?:(?=[,.!?…:;—–\n-])"
    r"|(?= (?:no|but|is|isn't|are|does|doesn't|do|did|was|that|that's|this|it|it's|if|i|i'm|maybe|actually|what|why|how|so|we|there|let)[^\w'])"
    r"|(?= a (?:minute|second|moment)[,.!?…—–-]))"
)
"""The "Wait" of a second thought, not that of "Wait for 5 minutes" or "Wait times"."""
SWITCH = re.compile(
    rf"{LEAD}(?:{WAIT}|hold on(?=[,.!?…:;—–-])|alternatively(?=\W)|actually(?=[,.…])|on second thoughts?(?=[,.…])|hm++(?=\W))", re.IGNORECASE
)
"""Beginnings of sentences that start another thought. Every alternative ends at a character that was seen, so that later text cannot undo a
match."""
SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]*]*+[ \t]++|—[ ]?| - """)
LINE = re.compile(r"\S[^\n]*")
UNFINISHED = (":", ",", ";", "=", "+", "\\[", "{", "(", "[")
"""Line endings that continue in the next line."""
CONTINUED = ("=", "≈", "≤", "≥", "→", "⇒", ")", "]", "}", "\\]")
"""Line beginnings that continue the previous line."""
FENCE = "```"


@dataclass(frozen=True, slots=True)
class Thought:
    """One thought, including the white space after it."""

    text: str
    start: int
    """Its first character in the thinking."""

    @property
    def end(self) -> int:
        """The first character after it."""
        return self.start + len(self.text)


def split(thinking: str) -> tuple[Thought, ...]:
    """The thoughts, whose texts together are exactly `thinking`; empty for an empty text.

    Each line is a thought: a paragraph is one, and so is each step of a rationale with one step per line. Lines stay together in a fenced block of
    code, after a line that announces more (`We have:`), and before a continuation (`= 5`). A sentence or line that begins with a switch ("Wait",
    "But wait", "Alternatively", "Hmm", "Actually, …") always begins a new thought.

    Complete thoughts are stable: when the text grows, all thoughts but the last are found again. The time is linear in the length of any text.
    """
    if not thinking:
        return ()
    starts = [0, *_boundaries(thinking)]
    ends = [*starts[1:], len(thinking)]
    return tuple(Thought(thinking[start:end], start) for start, end in zip(starts, ends, strict=True))


def complete(thinking: str) -> tuple[Thought, ...]:
    """The thoughts of unfinished thinking, without the one in progress.

    A line that has ended is complete unless a next line of plain text would continue it.
    """
    return split(thinking + "X" * thinking.endswith("\n"))[:-1]


def switches(thoughts: Sequence[Thought]) -> int:
    """Number of thoughts after the first that begin with a switch ("Wait", "Alternatively", …)."""
    return sum(SWITCH.match(thought.text.lstrip()) is not None for thought in thoughts[1:])


def _boundaries(text: str) -> Iterator[int]:
    """The beginnings of all thoughts but the first."""
    before, fenced = "", False
    for line in LINE.finditer(text):
        start, content = line.start(), line.group().rstrip()
        switched = SWITCH.match(text, start)
        # A lone backslash may yet become the one that closes a formula.
        together = fenced or before.endswith(UNFINISHED) or content.startswith(CONTINUED) or content == "\\"
        if before and (switched or not together):
            yield start
        fenced = (fenced and switched is None) != content.startswith(FENCE)
        if not fenced:
            yield from _switches(text, switched.end() if switched else start, line.end())
        before = content


def _switches(text: str, start: int, end: int) -> Iterator[int]:
    """The beginnings of sentences after `start` that begin with a switch; "Hmm... wait" is one switch, not two."""
    covered = start
    for sentence in SENTENCE_END.finditer(text, start, end):
        if sentence.end() >= covered and (switch := SWITCH.match(text, sentence.end())):
            yield sentence.end()
            covered = switch.end()
