"""What is asked: problems, and requests for traces."""

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


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its reference answer."""

    id: str
    question: str
    answer: str
    """The reference answer; empty where there is none."""
    source: str
    """Where it comes from: `reasoning-gym:chain_sum`, `jsonl:train.jsonl`, …"""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the verifier needs beside the answer; JSON values only."""


@dataclass(frozen=True, slots=True)
class Request:
    """One trace asked of a sampler: a prompt and how to decode it."""

    id: str
    """The id of the trace that answers it: `chain_sum-17/g3/s5` is problem `chain_sum-17`, generation 3, sample 5."""
    problem_id: str
    messages: tuple[Message, ...]
    temperature: float
    top_p: float
    max_tokens: int
    """The most tokens of the whole output, thinking and answer."""
    seed: int
    """Fixes the tokens of this request, whatever else runs beside it (on one kind of device)."""
    delimiters: Delimiters = THINK
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of the sampler, passed on untouched; see `Sampling.extra`."""
    budget: Budget | None = None
    """How long it may think, and has to; None: as long as it does."""
    switch_penalty: SwitchPenalty | None = None
    """How much another thought is held back; None: not at all."""
    prefix: tuple[int, ...] = ()
    """Tokens of the answering turn that are there already, behind the prompt: the model goes on from them. A budget counts from here on."""
    stop_after_thoughts: int | None = None
    """The turn is ended where so many more thoughts are complete, as `thinking.thoughts` splits them; None: the model ends it."""
