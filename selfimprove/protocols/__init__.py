"""Protocols of every part that a user may replace, and of the runtime that the loop works with."""

from selfimprove.protocols.parts import (
    Allocator,
    Gate,
    Mixture,
    OpenSampler,
    OpenStepScorer,
    OpenTrainer,
    OpenVerifiers,
    ProblemSource,
    Prompter,
    Reinforcer,
    Sampler,
    Selector,
    StepScorer,
    Stop,
    Trainer,
    Verifier,
    Verifiers,
)
from selfimprove.protocols.resources import Resources
from selfimprove.protocols.runtime import Cluster, Load, Progress, Tracker, Worker

__all__ = [
    "Allocator",
    "Cluster",
    "Gate",
    "Load",
    "Mixture",
    "OpenSampler",
    "OpenStepScorer",
    "OpenTrainer",
    "OpenVerifiers",
    "ProblemSource",
    "Progress",
    "Prompter",
    "Reinforcer",
    "Resources",
    "Sampler",
    "Selector",
    "StepScorer",
    "Stop",
    "Tracker",
    "Trainer",
    "Verifier",
    "Verifiers",
    "Worker",
]
