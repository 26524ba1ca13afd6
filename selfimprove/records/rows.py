"""Rows that trainers take, and what a selector returns."""

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
    """`sampled`; `teacher`: another model wrote it; `rationalized`: the answer was given as a hint; `retried`: after a critique of a wrong answer, or
    that critique; `shortened`: the thoughts after the first stable correct one are cut; `answer-only`: a row of that baseline; `revised`,
    `confirmed`: made of several traces; `direct`: an empty block stands in place of the thinking; `general`: of instruction data. `, off-policy`
    follows where the champion before the last wrote it."""
    generation: int
    completion_token_ids: tuple[int, ...] | None = None
    """The completion token for token, as the model in training wrote it or, where it is `revised`, `confirmed` or `direct`, as its tokenizer reads
    it; None where only the text counts, as with a teacher's or a rewritten one."""
    forced: tuple[tuple[int, int], ...] = ()
    """Half-open spans of `completion_token_ids` without loss: what the decoding loop wrote, the wrong thoughts of a revision, and an empty block."""


@dataclass(frozen=True, slots=True)
class WeightedRow(AcceptedTrace):
    """A row whose loss counts more or less than that of others."""

    loss_weight: float = 1.0
    """Factor on the loss of each of its tokens."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that a selector keeps, and the number of traces it drops by reason."""

    accepted: tuple[AcceptedTrace, ...]
    drops: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """A right and a wrong trace of one problem and one generation: given `messages`, write `chosen` rather than `rejected`."""

    problem_id: str
    generation: int
    messages: tuple[Message, ...]
    chosen_id: str
    """Id of the chosen trace."""
    chosen: str
    chosen_token_ids: tuple[int, ...] | None
    """Token ids as the model wrote them; None where only the text counts, as in `AcceptedTrace`."""
    chosen_forced: tuple[tuple[int, int], ...]
    """Half-open spans of the ids that the decoding loop wrote; they do not count."""
    rejected_id: str
    rejected: str
    rejected_token_ids: tuple[int, ...] | None
    rejected_forced: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class VerifierRow:
    """A row to train a verifier on: given `question` and `trace`, predict `right`."""

    problem_id: str
    question: str
    trace_id: str
    trace: str
    """The whole text, thinking and answer."""
    answer: str | None
    """The extracted answer."""
    right: bool
    generation: int
    """Generation that sampled the trace."""


@dataclass(frozen=True, slots=True)
class ReinforcementPrompt:
    """A problem with its prompt, which reinforcement learns from."""

    problem: Problem
    messages: tuple[Message, ...]
    delimiters: Delimiters = THINK


@dataclass(frozen=True, slots=True)
class LabelledTrace:
    """A trace with a label for each thought, which a process reward model learns from."""

    trace_id: str
    problem_id: str
    prompt: str
    """The bare question."""
    thoughts: tuple[str, ...]
    """Thoughts that, joined, give the thinking exactly."""
    labels: tuple[float | None, ...]
    """For each thought, the share of rollouts from its end that are correct, or a person's judgement, 0 to 1; None without a label."""
    counts: tuple[int, ...]
    """Rollouts behind each label; 0 where a person judged or there is no label."""
