"""Where in the output tokens of a trace its thinking and its thoughts end."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from selfimprove.records import Trace
from selfimprove.thinking.thoughts import split
from selfimprove.thinking.traces import parsed

Decode = Callable[[Sequence[int]], str]
"""The text of token ids, special tokens included, as the sampler wrote it: `checkpoints.tokens.decoder`."""


def token_count(trace: Trace, characters: int, decode: Decode) -> int:
    """The fewest of a trace's first output tokens that hold so many characters of its text; all of them where it has no more."""
    ids = trace.output_token_ids
    return bisect_left(range(len(ids)), characters, key=lambda count: len(decode(ids[:count]))) if characters else 0


def thinking_tokens(trace: Trace, decode: Decode) -> int:
    """Tokens of thinking, delimiters left out; a token that also holds a piece of a delimiter counts."""
    parts = parsed(trace)
    begin = len(parts.before + parts.opening)
    return token_count(trace, begin + len(parts.thinking or ""), decode) - token_count(trace, begin, decode) if parts.thinking else 0


def thought_ends(trace: Trace, decode: Decode) -> tuple[int, ...]:
    """For each thought that is not blank, in order: how many output tokens there are when it is complete."""
    parts = parsed(trace)
    begin = len(parts.before + parts.opening)
    # White space that separates it from what follows may share a token with that.
    ends = [begin + thought.start + len(thought.text.rstrip()) for thought in split(parts.thinking or "") if thought.text.strip()]
    return tuple(token_count(trace, end, decode) for end in ends)
