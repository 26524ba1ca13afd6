"""Rollouts that a training asks of a sampler while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from selfimprove.records.generations import Checkpoint
from selfimprove.records.questions import Request
from selfimprove.records.traces import Trace


@dataclass(frozen=True, slots=True)
class Rollout(Trace):
    """A trace with the log-probability of each of its tokens."""

    logprobs: tuple[float, ...] = ()
    """For each of `output_token_ids`, the natural logarithm of the probability with which it was drawn."""


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """What a trainer yields when it needs rollouts: it goes on once it has got them."""

    number: int
    """Number of this request in the training, from 0; the answer names it."""
    checkpoint: Checkpoint
    """The model to sample from. Its folder holds these weights until the answer."""
    requests: tuple[Request, ...]
