"""Teach a language model to reason and let it improve itself.

A workflow says which part plays each role. A part is a small dataclass whose fields are its settings:

    from pathlib import Path
    from selfimprove import *

    workflow = Workflow(
        name="sums",
        problems=Jsonl("sums.jsonl"),            # {"question": …, "answer": …} a line
        held_out=100,                            # so many are set apart for the exam
        first_prompter=FewShot((Exemplar("What is 4 + 3?", "4 + 3 = 7.", "7"),)),
        sampler=VLLM(engine={"max_model_len": 512}),
        sampling=Decoding(samples_per_problem=4, temperature=0.7, max_tokens=64),
        verifier=LastNumber(),
        trainer=SupervisedTrainer(),
        generations=3,
    )
    champion = improve(workflow, Path("runs/sums"), RayCluster)

In each generation the champion samples traces, a verifier judges them, a selector keeps what is good enough, a trainer makes the candidate, and after
its exam a gate says whether it is champion from there on. `champion.path` is an ordinary model folder; everything else is in `runs/sums`.

`ask`, `sample`, `verify`, `select`, `train` and `examine` are the verbs of a generation, for rounds of your own. `selfimprove.protocols` says what
each part must do, so that you can write one (docs/extending.md); `selfimprove.records` says what flows between them; docs/settings.md has every
setting. An error that you can mend is a `UserError`: one line that says what to do.
"""

from selfimprove.budget import Budget, BudgetByDifficulty, SwitchPenalty
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.cluster.inline import InlineCluster
from selfimprove.cluster.ray_cluster import RayCluster
from selfimprove.delimiters import Delimiters
from selfimprove.difficulty.embedder import Embedder
from selfimprove.difficulty.model import DifficultyModel
from selfimprove.errors import UserError, WorkerFailed
from selfimprove.evaluation.gates import Always, NotWorse, Strict
from selfimprove.evaluation.stopping import StopEarly
from selfimprove.loop import improve
from selfimprove.problems.hub import HubDataset
from selfimprove.problems.jsonl import Jsonl
from selfimprove.problems.reasoning_gym_task import ReasoningGym
from selfimprove.problems.sets import load_sets
from selfimprove.process_reward.guidance import Guidance
from selfimprove.process_reward.scoring import RewardModel
from selfimprove.process_reward.search import Search
from selfimprove.prompting.chat import Bare, Exemplar, FewShot, ZeroShot
from selfimprove.prompting.hints import Rationalization
from selfimprove.records import (
    AcceptedTrace,
    Checkpoint,
    Coverage,
    Decision,
    Exercise,
    GenerationReport,
    JudgedTrace,
    LedgerEntry,
    Message,
    Outcome,
    Pair,
    Problem,
    Request,
    Score,
    Selection,
    Trace,
    TrainingStep,
    Usage,
    Verdict,
    VerifierRow,
)
from selfimprove.resources import Resources
from selfimprove.sampling.allocation import ExpectedGain, FixedK
from selfimprove.sampling.decoding import Decoding
from selfimprove.sampling.endpoint import Endpoint
from selfimprove.sampling.vllm_engine import VLLM
from selfimprove.seams import Cluster
from selfimprove.selection.caps import Caps
from selfimprove.selection.contrast import Contrast, pair_up
from selfimprove.selection.keep_correct import KeepCorrect
from selfimprove.selection.keep_majority import KeepMajority
from selfimprove.selection.replay import Replay
from selfimprove.stages import ask, examine, sample, select, train, verify
from selfimprove.teacher import Teacher
from selfimprove.thinking.under_thinking import Probing
from selfimprove.tracking.mlflow import MLflow
from selfimprove.tracking.silent import Silent
from selfimprove.training.on_policy import OnPolicyDistiller
from selfimprove.training.preference import PreferenceTrainer
from selfimprove.training.reinforcement import ReinforcementTrainer
from selfimprove.training.supervised import SupervisedTrainer
from selfimprove.verification.exact import Exact
from selfimprove.verification.last_number import LastNumber
from selfimprove.verification.mathematical import Mathematical
from selfimprove.verification.multiple_choice import MultipleChoice
from selfimprove.verification.python_tests import PythonTests
from selfimprove.verification.reasoning_gym_scorer import ReasoningGymScorer
from selfimprove.workflow import Round, Workflow

__all__ = [
    "VLLM",
    "AcceptedTrace",
    "Always",
    "Bare",
    "Budget",
    "BudgetByDifficulty",
    "Caps",
    "Checkpoint",
    "Cluster",
    "Contrast",
    "Coverage",
    "Decision",
    "Decoding",
    "Delimiters",
    "DifficultyModel",
    "Embedder",
    "Endpoint",
    "Exact",
    "Exemplar",
    "Exercise",
    "ExpectedGain",
    "FewShot",
    "FixedK",
    "GenerationReport",
    "Guidance",
    "HubDataset",
    "InlineCluster",
    "Jsonl",
    "JudgedTrace",
    "KeepCorrect",
    "KeepMajority",
    "LastNumber",
    "LedgerEntry",
    "MLflow",
    "Mathematical",
    "Message",
    "MultipleChoice",
    "NotWorse",
    "OnPolicyDistiller",
    "Outcome",
    "Pair",
    "PreferenceTrainer",
    "Probing",
    "Problem",
    "PythonTests",
    "Rationalization",
    "RayCluster",
    "ReasoningGym",
    "ReasoningGymScorer",
    "ReinforcementTrainer",
    "Replay",
    "Request",
    "Resources",
    "RewardModel",
    "Round",
    "Score",
    "Search",
    "Selection",
    "Silent",
    "StopEarly",
    "Strict",
    "SupervisedTrainer",
    "SwitchPenalty",
    "Teacher",
    "Trace",
    "TrainingStep",
    "Usage",
    "UserError",
    "Verdict",
    "VerifierRow",
    "WorkerFailed",
    "Workflow",
    "ZeroShot",
    "ask",
    "describe_folder",
    "examine",
    "improve",
    "load_sets",
    "pair_up",
    "resolve_model",
    "sample",
    "select",
    "train",
    "verify",
]
