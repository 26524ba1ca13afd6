"""Every record that flows through the loop, in the order they are made; each is flat, frozen and joined to the others by id."""

from selfimprove.records.figures import (
    AskedAgainFigures,
    DifficultyFigures,
    Drift,
    Estimate,
    FirstAttempts,
    ForecastQuality,
    GenerationCounts,
    LooksBack,
    Stage,
    ThinkingFigures,
)
from selfimprove.records.generations import (
    Checkpoint,
    Coverage,
    Decision,
    GenerationReport,
    LedgerEntry,
    TrainingStep,
    TriedCandidate,
)
from selfimprove.records.proposals import ProposalFigures, ProposedQuestion
from selfimprove.records.questions import Message, Problem, Request
from selfimprove.records.rollouts import Rollout, RolloutRequest
from selfimprove.records.rows import AcceptedTrace, LabelledTrace, Pair, ReinforcementPrompt, Selection, VerifierRow, WeightedRow
from selfimprove.records.scores import FurtherScore, GuardLoss, GuardScore, LevelScore, PromptScores, Score
from selfimprove.records.traces import AnnotatedTrace, Grade, JudgedTrace, Outcome, Probe, ThoughtRewards, Trace, Tries, Usage, Verdict

__all__ = [
    "AcceptedTrace",
    "AnnotatedTrace",
    "AskedAgainFigures",
    "Checkpoint",
    "Coverage",
    "Decision",
    "DifficultyFigures",
    "Drift",
    "Estimate",
    "FirstAttempts",
    "ForecastQuality",
    "FurtherScore",
    "GenerationCounts",
    "GenerationReport",
    "Grade",
    "GuardLoss",
    "GuardScore",
    "JudgedTrace",
    "LabelledTrace",
    "LedgerEntry",
    "LevelScore",
    "LooksBack",
    "Message",
    "Outcome",
    "Pair",
    "Probe",
    "Problem",
    "PromptScores",
    "ProposalFigures",
    "ProposedQuestion",
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
    "TriedCandidate",
    "Tries",
    "Usage",
    "Verdict",
    "VerifierRow",
    "WeightedRow",
]
