"""Protocols of the parts that a user may replace, and of the runtime: cluster, tracker and progress."""

from selfimprove.protocols.confinement import Confinement
from selfimprove.protocols.parts import (
    Allocator,
    Gate,
    OpenSampler,
    OpenStepScorer,
    ProblemSource,
    Prompter,
    Sampler,
    Selector,
    StepScorer,
    Stop,
)
from selfimprove.protocols.reinforcement import OpenReinforcer, OpenRolloutSampler, Reinforcer
from selfimprove.protocols.runtime import Cluster, Load, OpenTracker, Progress, Tracker, Worker
from selfimprove.protocols.training import Control, Mixture, OpenTrainer, Rows, Trainer
from selfimprove.protocols.verifying import OpenVerifiers, Verifier, Verifiers
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
    "Rows",
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
