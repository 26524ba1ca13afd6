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
"""What turns to another thought where a sentence begins with it. Each way to match ends with a sign that was seen, so that no text that follows
can undo a match."""
SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]*]*+[ \t]++|—[ ]?| - """)
LINE = re.compile(r"\S[^\n]*")
UNFINISHED = (":", ",", ";", "=", "+", "\\[", "{", "(", "[")
"""A line that ends so goes on in the next one."""
CONTINUED = ("=", "≈", "≤", "≥", "→", "⇒", ")", "]", "}", "\\]")
"""A line that begins so goes on with the one before."""
FENCE = "```"


@dataclass(frozen=True, slots=True)
class Thought:
    """One thought, with the white space that follows it."""

    text: str
    start: int
    """Where it begins in the thinking, in characters."""

    @property
    def end(self) -> int:
        """The first character after it."""
        return self.start + len(self.text)


def split(thinking: str) -> tuple[Thought, ...]:
    """The thoughts, whose texts together are `thinking` to the letter; an empty text has none.

    A line is a thought, so that a paragraph is one and each step of a line-per-step rationale is one. Lines stay together in a fenced block of
    code, after a line that announces more (`We have:`), and before one that goes on (`= 5`). Within a line a sentence that begins with a switch
    ("Wait", "But wait", "Alternatively", "Hmm", "Actually, …") begins a new thought, and so does a line, whatever precedes it.

    Thoughts that are complete stay as they are: when the text grows, all but the last of the thoughts found so far are found again. The time is
    linear in the length of the text, whatever it holds.
    """
    if not thinking:
        return ()
    starts = [0, *_boundaries(thinking)]
    ends = [*starts[1:], len(thinking)]
    return tuple(Thought(thinking[start:end], start) for start, end in zip(starts, ends, strict=True))


def complete(thinking: str) -> tuple[Thought, ...]:
    """The thoughts of a thinking that goes on, without the one that is being written.

    A line that has ended is complete where another line of plain text would not go on with it.
    """
    return split(thinking + "X" * thinking.endswith("\n"))[:-1]


def switches(thoughts: Sequence[Thought]) -> int:
    """How many of the thoughts after the first turn to something else ("Wait", "Alternatively", …) rather than go on."""
    return sum(SWITCH.match(thought.text.lstrip()) is not None for thought in thoughts[1:])


def _boundaries(text: str) -> Iterator[int]:
    """Where each thought but the first begins."""
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
    """Where a sentence that follows `start` begins with a switch; "Hmm... wait" is one switch, not two."""
    covered = start
    for sentence in SENTENCE_END.finditer(text, start, end):
        if sentence.end() >= covered and (switch := SWITCH.match(text, sentence.end())):
            yield sentence.end()
            covered = switch.end()
