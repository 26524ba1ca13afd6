"""Teach a language model to reason and let it improve itself.

In each generation the champion samples traces of thought, a verifier judges their answers, a selector keeps what is good enough, a trainer makes the
candidate, and after its exam a gate says whether it is champion from there on. A workflow says which part plays each role; a part is a small
dataclass whose fields are its settings:

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

`champion.path` is an ordinary model folder; everything else is in `runs/sums`. The same call continues a run that was stopped.

`ask`, `sample`, `verify`, `select`, `train` and `examine` are the verbs of a generation: workflows/one_round_by_hand.py goes through them and looks
at each record, workflows/custom_round.py puts them in another order. `selfimprove.protocols` says what each part must do, so that you can write one
(docs/extending.md); `selfimprove.records` says what flows between them; docs/settings.md has every setting. An error that you can mend is a
`UserError`: one line that says what to do.
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
from selfimprove.process_reward.rollouts import Rollouts
from selfimprove.process_reward.scoring import RewardModel
from selfimprove.process_reward.search import Search
from selfimprove.process_reward.training import RewardTrainer
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
    LabelledTrace,
    LedgerEntry,
    Message,
    Outcome,
    Pair,
    Probe,
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
from selfimprove.selection.contamination import Contamination
from selfimprove.selection.contrast import Contrast, pair_up
from selfimprove.selection.keep_correct import KeepCorrect
from selfimprove.selection.keep_majority import KeepMajority
from selfimprove.selection.replay import Replay
from selfimprove.stages import ask, examine, sample, select, train, verify
from selfimprove.teacher import Teacher
from selfimprove.thinking.anatomy import dissect
from selfimprove.thinking.moments import Cue, Moment, Moments
from selfimprove.thinking.traces import parsed
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

# In the order in which they are met, not in that of the alphabet.
__all__ = [  # noqa: RUF022
    # a run, and what ends it with a line to read
    "Workflow",
    "Round",
    "improve",
    "UserError",
    "WorkerFailed",
    # problems
    "Jsonl",
    "HubDataset",
    "ReasoningGym",
    "Contamination",
    "load_sets",
    # asking
    "Bare",
    "ZeroShot",
    "FewShot",
    "Exemplar",
    "Rationalization",
    "Teacher",
    # sampling
    "VLLM",
    "Endpoint",
    "Decoding",
    "Budget",
    "BudgetByDifficulty",
    "SwitchPenalty",
    "FixedK",
    "ExpectedGain",
    "Resources",
    # thinking
    "Delimiters",
    "parsed",
    "Moment",
    "Moments",
    "Cue",
    "dissect",
    "Probing",
    # verification
    "Exact",
    "LastNumber",
    "Mathematical",
    "MultipleChoice",
    "PythonTests",
    "ReasoningGymScorer",
    # selection
    "KeepCorrect",
    "KeepMajority",
    "Caps",
    "Replay",
    "Contrast",
    "pair_up",
    # training
    "SupervisedTrainer",
    "PreferenceTrainer",
    "ReinforcementTrainer",
    "OnPolicyDistiller",
    # thoughts that are rewarded
    "Rollouts",
    "RewardTrainer",
    "RewardModel",
    "Guidance",
    "Search",
    # difficulty that is predicted
    "DifficultyModel",
    "Embedder",
    # what becomes of a candidate
    "NotWorse",
    "Strict",
    "Always",
    "StopEarly",
    # where work runs, and who is told
    "Cluster",
    "InlineCluster",
    "RayCluster",
    "MLflow",
    "Silent",
    # the verbs of a round, and the models it begins with
    "ask",
    "sample",
    "verify",
    "select",
    "train",
    "examine",
    "resolve_model",
    "describe_folder",
    # records, in the order in which they are made
    "Problem",
    "Message",
    "Request",
    "Trace",
    "Usage",
    "Outcome",
    "Verdict",
    "Probe",
    "JudgedTrace",
    "AcceptedTrace",
    "Selection",
    "Pair",
    "VerifierRow",
    "Exercise",
    "LabelledTrace",
    "TrainingStep",
    "Checkpoint",
    "Score",
    "Decision",
    "Coverage",
    "LedgerEntry",
    "GenerationReport",
]
