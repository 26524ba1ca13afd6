"""Token positions at which the thinking and the thoughts of a trace end."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from selfimprove.records import Trace
from selfimprove.thinking.thoughts import split
from selfimprove.thinking.traces import parsed

Decode = Callable[[Sequence[int]], str]
"""Returns the text of token ids, special tokens included, as the sampler wrote it: `checkpoints.tokens.decoder`."""


def token_count(trace: Trace, characters: int, decode: Decode) -> int:
    """Smallest number of output tokens that hold the first `characters` of a trace's text; all of them if the text is shorter."""
    ids = trace.output_token_ids
    return bisect_left(range(len(ids)), characters, key=lambda count: len(decode(ids[:count]))) if characters else 0


def thinking_tokens(trace: Trace, decode: Decode) -> int:
    """Number of thinking tokens without delimiters. A token that also holds a piece of a delimiter counts."""
    parts = parsed(trace)
    begin = len(parts.before + parts.opening)
    return token_count(trace, begin + len(parts.thinking or ""), decode) - token_count(trace, begin, decode) if parts.thinking else 0


def thought_ends(trace: Trace, decode: Decode) -> tuple[int, ...]:
    """Number of output tokens at the end of each thought that is not blank."""
    parts = parsed(trace)
    begin = len(parts.before + parts.opening)
    # White space after a thought may share a token with the next one.
    ends = [begin + thought.start + len(thought.text.rstrip()) for thought in split(parts.thinking or "") if thought.text.strip()]
    return tuple(token_count(trace, end, decode) for end in ends)
