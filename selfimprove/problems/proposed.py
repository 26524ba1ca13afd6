"""Questions that a model writes: read from its traces, and as problems."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence

from selfimprove.problems.split import question_key
from selfimprove.records import Problem, ProposedQuestion, Trace
from selfimprove.thinking.traces import parsed

PROPOSED = "proposed"
"""Source of such problems, and beginning of their ids."""
LENGTH = 2
"""How many times as long as the longest given question a new one may be."""


def longest_question(given: Sequence[Problem]) -> int:
    """Maximum number of characters of a new question in the manner of these."""
    return LENGTH * max(len(problem.question) for problem in given)


def read_question(trace: Trace, longest: int, marks: Collection[str], form: str | None = None) -> tuple[str, str | None]:
    """The question in a trace, and why it is malformed; None where it is not.

    It is what stands before the thinking, as a model may go on to answer its own question; or else what follows the thinking.

    Args:
        longest: Maximum number of characters.
        marks: Texts that it must not hold: delimiters and special tokens, which would break the prompt that asks it.
        form: Regular expression for the whole question; None for any form.
    """
    parts = parsed(trace)
    first = parts.before.strip() if parts.thinking is not None else ""
    question = first or parts.answer or ""
    reasons = {
        "no question": not question,
        "cut off": not first and trace.finish_reason == "length",
        "too long": len(question) > longest,
        "a mark of the chat": any(mark in question for mark in marks),
    }
    reason = next((name for name, holds in reasons.items() if holds), None)
    # Last, since the time that an expression takes grows with the text.
    if reason is None and form is not None and not re.fullmatch(form, question):
        reason = "another form"
    return question[:longest], f"malformed: {reason}" if reason else None


def as_problem(one: ProposedQuestion, generation: int) -> Problem:
    """A question as a problem, with its label as the answer. The id follows from the question, so that no other question can have it."""
    name = hashlib.sha256(question_key(one.question).encode()).hexdigest()[:16]
    metadata = {} if one.agreement is None else {"agreement": one.agreement}
    return Problem(f"{PROPOSED}-{name}", one.question, one.label or "", f"{PROPOSED}:generation-{generation}", metadata)
