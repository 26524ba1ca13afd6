"""Protocols of the parts that a user may replace, and of the runtime: cluster, tracker and progress."""

from selfimprove.protocols.confinement import Confinement
from selfimprove.protocols.parts import (
    Allocator,
    Control,
    Gate,
    Mixture,
    OpenSampler,
    OpenStepScorer,
    OpenTrainer,
    OpenVerifiers,
    ProblemSource,
    Prompter,
    Sampler,
    Selector,
    StepScorer,
    Stop,
    Trainer,
    Verifier,
    Verifiers,
)
from selfimprove.protocols.reinforcement import OpenReinforcer, OpenRolloutSampler, Reinforcer
from selfimprove.protocols.runtime import Cluster, Load, OpenTracker, Progress, Tracker, Worker
from selfimprove.protocols.worker_part import Resources, WorkerPart

__all__ = [
    "Allocator",
    "Cluster",
    "Confinement",
    "Control",
    "Gate",
    "Load",
    "Mixture",
    "OpenReinforcer",
    "OpenRolloutSampler",
    "OpenSampler",
    "OpenStepScorer",
    "OpenTracker",
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
    "WorkerPart",
]
