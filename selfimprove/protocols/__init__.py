"""Protocols of every part that a user may replace, and of the runtime that the loop works with."""

from selfimprove.protocols.parts import (
    Allocator,
    Gate,
    Judge,
    Mixture,
    OpenJudge,
    OpenSampler,
    OpenStepScorer,
    OpenTrainer,
    ProblemSource,
    Prompter,
    Reinforcer,
    Sampler,
    Selector,
    StepScorer,
    Stop,
    Trainer,
    Verifier,
)
from selfimprove.protocols.resources import Resources
from selfimprove.protocols.runtime import Cluster, Load, Progress, Tracker, Worker

__all__ = [
    "Allocator",
    "Cluster",
    "Gate",
    "Judge",
    "Load",
    "Mixture",
    "OpenJudge",
    "OpenSampler",
    "OpenStepScorer",
    "OpenTrainer",
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
    "Worker",
]
