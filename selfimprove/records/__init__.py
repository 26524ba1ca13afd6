"""Every record that flows through the loop, in the order they are made; each is flat, frozen and joined to the others by id."""

from selfimprove.records.figures import (
    DifficultyFigures,
    Drift,
    Estimate,
    ForecastQuality,
    GenerationCounts,
    RationalizationFigures,
    Stage,
    ThinkingFigures,
)
from selfimprove.records.generations import Checkpoint, Coverage, Decision, FurtherScore, GenerationReport, LedgerEntry, Score, TrainingStep
from selfimprove.records.questions import Message, Problem, Request
from selfimprove.records.rollouts import Rollout, RolloutRequest
from selfimprove.records.rows import AcceptedTrace, LabelledTrace, Pair, ReinforcementPrompt, Selection, VerifierRow
from selfimprove.records.traces import AnnotatedTrace, Grade, JudgedTrace, Outcome, Probe, ThoughtRewards, Trace, Tries, Usage, Verdict

__all__ = [
    "AcceptedTrace",
    "AnnotatedTrace",
    "Checkpoint",
    "Coverage",
    "Decision",
    "DifficultyFigures",
    "Drift",
    "Estimate",
    "ForecastQuality",
    "FurtherScore",
    "GenerationCounts",
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
    "RationalizationFigures",
    "ReinforcementPrompt",
    "Request",
    "Rollout",
    "RolloutRequest",
    "Score",
    "Selection",
    "Stage",
    "ThinkingFigures",
    "ThoughtRewards",
    "Trace",
    "TrainingStep",
    "Tries",
    "Usage",
    "Verdict",
    "VerifierRow",
]
