"""Every record that flows through the loop, in the order they are made; each is flat, frozen and joined to the others by id."""

from selfimprove.records.generations import Checkpoint, Coverage, Decision, GenerationReport, LedgerEntry, Score, TrainingStep
from selfimprove.records.questions import Message, Problem, Request
from selfimprove.records.rows import AcceptedTrace, Exercise, LabelledTrace, Pair, Selection, VerifierRow
from selfimprove.records.traces import JudgedTrace, Outcome, Probe, StepRewards, Trace, Tries, Usage, Verdict

__all__ = [
    "AcceptedTrace",
    "Checkpoint",
    "Coverage",
    "Decision",
    "Exercise",
    "GenerationReport",
    "JudgedTrace",
    "LabelledTrace",
    "LedgerEntry",
    "Message",
    "Outcome",
    "Pair",
    "Probe",
    "Problem",
    "Request",
    "Score",
    "Selection",
    "StepRewards",
    "Trace",
    "TrainingStep",
    "Tries",
    "Usage",
    "Verdict",
    "VerifierRow",
]
