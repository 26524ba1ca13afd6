"""Makes rows that reflect from traces that do not: a mistake that is revised, and a result that is checked by other thoughts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass as record
from dataclasses import replace
from itertools import islice, product
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.records import AcceptedTrace, AnnotatedTrace
from selfimprove.records.delimiters import Delimiters
from selfimprove.records.numbers import Float, PositiveInt
from selfimprove.selection.first_mistake import first_wrong_step, wording
from selfimprove.thinking.behaviours import AGREEMENTS, CHECKS, REVISIONS, Behaviour, Behaviours
from selfimprove.thinking.thoughts import Thought, split
from selfimprove.thinking.traces import Parsed, parse, parsed, render

REVISED, CONFIRMED = "revised", "confirmed"
"""Origins of such rows, and prefixes of the reasons for which they are dropped."""

Cues = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
PartOfRows = Annotated[Float, Field(ge=0, lt=1)]


@dataclass(frozen=True, config={"extra": "forbid"})
class Reflection:
    """Every generation makes rows with reflection and revision from its own right and wrong traces; they are verified as sampled traces are.

    A revision: wrong thoughts up to the first wrong step, a cue ("Wait, that is not right."), the thoughts of a right trace, and its answer. A
    confirmation: right thoughts, a cue ("Let me check that."), other right thoughts, a word of agreement, and the answer. The evaluations then tell
    apart whether a trace reflects where its first attempt was right and where it was wrong.
    """

    revised: PartOfRows = 0.2
    """Maximum share of revisions among these and the rows that they were made beside. 0: none. What is over is dropped as `revised: over share`."""
    confirmed: PartOfRows = 0.2
    """Maximum share of confirmations, likewise. Without them, a model learns that whatever it looks back at was wrong."""
    per_problem: PositiveInt = 1
    """Maximum number of revisions of one problem in a generation, and of confirmations."""
    loss_on_wrong: bool = False
    """Whether the wrong thoughts are learnt too. Otherwise they are read like a prompt and carry no loss."""
    earlier: bool = True
    """Whether a trace of this generation is also joined with those of earlier ones."""
    same_thoughts: bool = False
    """Whether a problem without two different right thoughts is checked by the same thoughts again."""
    revisions: Cues = REVISIONS
    """Thoughts that a revision begins with; one is drawn for each row. The workflow's `behaviours` have to mark them as revision."""
    checks: Cues = CHECKS
    """Thoughts that a check begins with, marked as reflection or revision."""
    agreements: Cues = AGREEMENTS
    """Thoughts that a check ends with, marked as confirmation or reflection."""

    @property
    def makes_rows(self) -> bool:
        """Whether it makes rows, and does not only measure."""
        return self.revised > 0 or self.confirmed > 0

    def unmarked(self, behaviours: Behaviours) -> Iterator[str]:
        """What is wrong for each cue that these behaviours take for something else, so that no figure would count it."""
        allowed = {
            "revisions": (self.revisions, {Behaviour.REVISION}),
            "checks": (self.checks, {Behaviour.REFLECTION, Behaviour.REVISION}),
            "agreements": (self.agreements, {Behaviour.CONFIRMATION, Behaviour.REFLECTION}),
        }
        for name, (cues, meant) in allowed.items():
            for cue in cues:
                # Further cues mark the last thought of a trace.
                if (found := behaviours.mark([cue, ""])[0]) not in meant:
                    told = " or ".join(sorted(meant))
                    yield f"reflection.{name}: {cue!r} is marked as {found}, not as {told}; add a Cue for it to behaviours, or reword it"


@record(frozen=True, slots=True)
class Draft:
    """A text made of several traces, before it is verified."""

    origin: str
    row: AcceptedTrace
    """The right trace that gives the prompt, the form and the answer."""
    text: str
    opened: bool
    """Whether the text starts inside the thinking."""
    wrong: tuple[int, int] | None = None
    """First character of the wrong thoughts and the one after the last; None in a confirmation."""


@record(frozen=True, slots=True)
class _Right:
    row: AcceptedTrace
    parts: Parsed
    thoughts: tuple[Thought, ...]
    opened: bool


def drafts(
    rule: Reflection,
    right: Sequence[AcceptedTrace],
    wrong: Sequence[tuple[int, AnnotatedTrace]],
    delimiters: Delimiters,
    generation: int,
    seed: int,
) -> Iterator[Draft]:
    """Revisions and confirmations of one problem, at most `per_problem` of each: a seeded draw from all pairs of traces.

    Each has a trace of this generation. Traces without one closed block of thinking are passed over. So are a wrong trace that thinks as the right
    one does, and right thoughts that differ in punctuation only.

    Args:
        rule: What is made.
        right: Accepted traces of the problem, oldest first.
        wrong: Its wrong traces, each with its generation.
        delimiters: Those of the rows.
        generation: Number of this generation.
        seed: Of the draw.
    """
    read = (_read(row, delimiters) for row in right)
    different = {tuple(wording(one.parts.thinking or "")): one for one in read if one}
    rights, chance = sorted(different.values(), key=lambda one: one.row.trace_id), random.Random(seed)
    yield from islice(_revisions(rule, rights, wrong, generation, chance), rule.per_problem if rule.revised else 0)
    yield from islice(_confirmations(rule, rights, generation, chance), rule.per_problem if rule.confirmed else 0)


def _revisions(
    rule: Reflection, rights: Sequence[_Right], wrong: Sequence[tuple[int, AnnotatedTrace]], generation: int, chance: random.Random
) -> Iterator[Draft]:
    every = [(one, *other) for one, other in product(rights, sorted(wrong, key=lambda item: item[1].trace.id))]
    for one, number, item in chance.sample(every, len(every)):
        parts = parsed(item.trace)
        if parts.flags or generation not in (number, one.row.generation):
            continue
        thinking = parts.thinking or ""
        thoughts = _thoughts(thinking)
        last = first_wrong_step(item, thoughts, one.thoughts, chance)
        if last is not None:
            yield _draft(REVISED, one, (thinking[: thoughts[last].end], chance.choice(rule.revisions), one.parts.thinking or ""))


def _confirmations(rule: Reflection, rights: Sequence[_Right], generation: int, chance: random.Random) -> Iterator[Draft]:
    every = [pair for pair in product(rights, rights) if pair[0] is not pair[1]]
    if not every and rule.same_thoughts:
        every = [(one, one) for one in rights]
    for one, other in chance.sample(every, len(every)):
        if generation in (one.row.generation, other.row.generation):
            first, again = one.parts.thinking or "", other.parts.thinking or ""
            yield _draft(CONFIRMED, one, (first, chance.choice(rule.checks), again, chance.choice(rule.agreements)))


def _read(row: AcceptedTrace, delimiters: Delimiters) -> _Right | None:
    """The row's parts; None where it is made of several traces itself, or has no single, closed block of thinking."""
    opened = delimiters.begin not in row.completion and delimiters.end in row.completion
    parts = parse(row.completion, delimiters, opened)
    if parts.flags or is_reflected(row):
        return None
    return _Right(row, parts, _thoughts(parts.thinking or ""), opened)


def is_reflected(row: AcceptedTrace) -> bool:
    """Whether a row is a revision or a confirmation."""
    return row.origin.startswith((REVISED, CONFIRMED))


def _thoughts(thinking: str) -> tuple[Thought, ...]:
    return tuple(thought for thought in split(thinking) if thought.text.strip())


def _draft(origin: str, right: _Right, pieces: Sequence[str]) -> Draft:
    """The right trace with these pieces as its thinking, each on lines of its own."""
    thinking = right.parts.thinking or ""
    begin = len(thinking) - len(thinking.lstrip())
    paragraphs = any("\n\n" in thought.text for thought in right.thoughts[:-1])
    joined = ("\n\n" if paragraphs else "\n").join(piece.strip() for piece in pieces)
    text = render(replace(right.parts, thinking=thinking[:begin] + joined + thinking[len(thinking.rstrip()) :]))
    start = len(right.parts.before + right.parts.opening) + begin
    wrong = (start, start + len(pieces[0].strip())) if origin == REVISED else None
    return Draft(origin, right.row, text, right.opened, wrong)
