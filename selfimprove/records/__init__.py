"""Every record that flows through the loop, in the order they are made; each is flat, frozen and joined to the others by id."""

from selfimprove.records.generations import Checkpoint, Coverage, Decision, GenerationReport, LedgerEntry, Score, TrainingStep
from selfimprove.records.questions import Message, Problem, Request
from selfimprove.records.rows import AcceptedTrace, LabelledTrace, Pair, ReinforcementPrompt, Selection, VerifierRow
from selfimprove.records.traces import Grade, JudgedTrace, Outcome, Probe, ThoughtRewards, Trace, Tries, Usage, Verdict

__all__ = [
    "AcceptedTrace",
    "Checkpoint",
    "Coverage",
    "Decision",
    "GenerationReport",
    "Grade",
    "JudgedTrace",
    "LabelledTrace",
    "LedgerEntry",
    "Message",
    "Outcome",
    "Pair",
    "Probe",
    "Problem",
    "ReinforcementPrompt",
    "Request",
    "Score",
    "Selection",
    "ThoughtRewards",
    "Trace",
    "TrainingStep",
    "Tries",
    "Usage",
    "Verdict",
    "VerifierRow",
]
