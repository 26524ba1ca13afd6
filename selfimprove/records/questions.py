"""Problems, and requests for traces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import TypedDict

from selfimprove.records.budgets import Budget, SwitchPenalty
from selfimprove.records.delimiters import THINK, Delimiters


class Message(TypedDict):
    """One turn of a chat, in the form that chat templates take."""

    role: str
    content: str


LEVEL = "curriculum_level"
"""Key of the metadata that holds the level of a problem, where its source has levels."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its reference answer."""

    id: str
    question: str
    answer: str
    """The reference answer; empty where there is none."""
    source: str
    """Origin of the problem: `reasoning-gym:chain_sum`, `jsonl:train.jsonl`, …"""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the verifier needs besides the answer; JSON values only."""

    @property
    def level(self) -> int | None:
        """The level of a `Curriculum` that the problem belongs to, from 1; None without levels."""
        return self.metadata.get(LEVEL)


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one trace: a prompt and how to sample its answer."""

    id: str
    """The id of the trace that answers it: `chain_sum-17/g3/s5` is problem `chain_sum-17`, generation 3, sample 5."""
    problem_id: str
    messages: tuple[Message, ...]
    temperature: float
    top_p: float
    max_tokens: int
    """Maximum number of tokens in the output, thinking and answer together."""
    seed: int
    """Fixes the tokens of this request on one kind of device, whatever else runs beside it."""
    delimiters: Delimiters = THINK
    budget: Budget | None = None
    """Limits on the thinking; None for none."""
    switch_penalty: SwitchPenalty | None = None
    """Penalty on turning to another thought; None for none."""
    prefix: tuple[int, ...] = ()
    """Tokens of the answer that are given: the model continues after them. A budget counts from there."""
    stop_after_thoughts: int | None = None
    """Number of thoughts, as `thinking.thoughts` splits them, after which the turn is ended; None: the model ends it."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of the sampler, passed on untouched; see `Sampling.extra`."""
