"""What is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.records.questions import Message, Problem


@dataclass(frozen=True, slots=True)
class AcceptedTrace:
    """A row to train on: given `messages`, write `completion`."""

    trace_id: str
    problem_id: str
    messages: tuple[Message, ...]
    completion: str
    origin: str
    """`sampled`; `teacher`, where another model wrote it; `rationalized`, where the answer was given as a hint; `shortened`, where thoughts after the
    first from which on every probe was right are left out; `answer-only` for a row of that baseline."""
    generation: int
    completion_token_ids: tuple[int, ...] | None = None
    """The completion as the model that trains wrote it, token for token; None where its text alone counts, as for a teacher's or a rewritten one."""
    forced: tuple[tuple[int, int], ...] = ()
    """Half-open spans of `completion_token_ids` that the decoding loop wrote: no loss is taken on them."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a selector keeps, and how many traces it drops for which reason."""

    accepted: tuple[AcceptedTrace, ...]
    drops: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """A right and a wrong trace of one problem and one generation: given `messages`, write `chosen` rather than `rejected`."""

    problem_id: str
    generation: int
    messages: tuple[Message, ...]
    chosen_id: str
    """The trace's."""
    chosen: str
    chosen_token_ids: tuple[int, ...] | None
    """As the model wrote it, token for token; None where its text alone counts, as in `AcceptedTrace`."""
    chosen_forced: tuple[tuple[int, int], ...]
    """Half-open spans of the ids that the decoding loop wrote: they do not count."""
    rejected_id: str
    rejected: str
    rejected_token_ids: tuple[int, ...] | None
    rejected_forced: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class VerifierRow:
    """A judged trace as a verifier is trained on it: given `question` and `trace`, tell `right`."""

    problem_id: str
    question: str
    trace_id: str
    trace: str
    """The whole text, thinking and answer."""
    answer: str | None
    """As it was extracted."""
    right: bool
    generation: int
    """In which it was sampled."""


@dataclass(frozen=True, slots=True)
class ReinforcementPrompt:
    """A problem to practise on, as it is put to the model: what reinforcement learns from."""

    problem: Problem
    messages: tuple[Message, ...]
    delimiters: Delimiters = THINK


@dataclass(frozen=True, slots=True)
class LabelledTrace:
    """How good each thought of a trace is: what a process reward model learns from."""

    trace_id: str
    problem_id: str
    prompt: str
    """The bare question."""
    thoughts: tuple[str, ...]
    """To the letter: one after the other they are the thinking."""
    labels: tuple[float | None, ...]
    """For each thought, the share of the rollouts from its end that end correct, or a person's judgement, 0 to 1; None: not labelled."""
    counts: tuple[int, ...]
    """How many rollouts each label is the share of; 0 where a person judged, and where there is no label."""
