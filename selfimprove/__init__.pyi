"""The public names, and where each is; type checkers read it, and `__init__.py` loads from there what is asked for."""

from .checkpoints.base_models import resolve_model as resolve_model
from .checkpoints.folders import describe_folder as describe_folder
from .cluster.inline import InlineCluster as InlineCluster
from .cluster.ray_cluster import RayCluster as RayCluster
from .difficulty.embedder import Embedder as Embedder
from .difficulty.model import DifficultyModel as DifficultyModel
from .errors import UserError as UserError
from .errors import WorkerFailed as WorkerFailed
from .evaluation.gates import AlwaysPromote as AlwaysPromote
from .evaluation.gates import NotWorse as NotWorse
from .evaluation.gates import StrictGate as StrictGate
from .evaluation.stopping import StopEarly as StopEarly
from .loop import improve as improve
from .problems.hub import HubDataset as HubDataset
from .problems.jsonl import Jsonl as Jsonl
from .problems.reasoning_gym_task import ReasoningGym as ReasoningGym
from .problems.sets import load_sets as load_sets
from .process_reward.rollouts import Rollouts as Rollouts
from .process_reward.scoring import RewardModel as RewardModel
from .process_reward.search import Search as Search
from .process_reward.step_rewards import StepRewards as StepRewards
from .process_reward.training import RewardTrainer as RewardTrainer
from .prompting.chat import Exemplar as Exemplar
from .prompting.chat import FewShot as FewShot
from .prompting.chat import PlainQuestion as PlainQuestion
from .prompting.chat import ZeroShot as ZeroShot
from .prompting.hints import Rationalization as Rationalization
from .protocols import Cluster as Cluster
from .protocols import Resources as Resources
from .protocols.no_tracker import NoTracker as NoTracker
from .records import (
    AcceptedTrace as AcceptedTrace,
)
from .records import (
    Checkpoint as Checkpoint,
)
from .records import (
    Coverage as Coverage,
)
from .records import (
    Decision as Decision,
)
from .records import (
    GenerationReport as GenerationReport,
)
from .records import (
    JudgedTrace as JudgedTrace,
)
from .records import (
    LabelledTrace as LabelledTrace,
)
from .records import (
    LedgerEntry as LedgerEntry,
)
from .records import (
    Message as Message,
)
from .records import (
    Outcome as Outcome,
)
from .records import (
    Pair as Pair,
)
from .records import (
    Probe as Probe,
)
from .records import (
    Problem as Problem,
)
from .records import (
    ReinforcementPrompt as ReinforcementPrompt,
)
from .records import (
    Request as Request,
)
from .records import (
    Score as Score,
)
from .records import (
    Selection as Selection,
)
from .records import (
    Trace as Trace,
)
from .records import (
    TrainingStep as TrainingStep,
)
from .records import (
    Usage as Usage,
)
from .records import (
    Verdict as Verdict,
)
from .records import (
    VerifierRow as VerifierRow,
)
from .records.budgets import Budget as Budget
from .records.budgets import BudgetByDifficulty as BudgetByDifficulty
from .records.budgets import SwitchPenalty as SwitchPenalty
from .records.delimiters import Delimiters as Delimiters
from .sampling.allocation import ExpectedGain as ExpectedGain
from .sampling.allocation import FixedK as FixedK
from .sampling.endpoint import Endpoint as Endpoint
from .sampling.sampling import Sampling as Sampling
from .sampling.vllm_engine import VLLM as VLLM
from .selection.caps import Caps as Caps
from .selection.contamination import Contamination as Contamination
from .selection.keep_correct import KeepCorrect as KeepCorrect
from .selection.keep_majority import KeepMajority as KeepMajority
from .selection.preference_pairs import PreferencePairs as PreferencePairs
from .selection.preference_pairs import pair_up as pair_up
from .selection.replay import Replay as Replay
from .stages.context import RunContext as RunContext
from .stages.context import open_run_context as open_run_context
from .stages.evaluate import evaluate as evaluate
from .stages.sample import ask as ask
from .stages.sample import sample as sample
from .stages.select import select as select
from .stages.train import train as train
from .thinking.anatomy import dissect as dissect
from .thinking.behaviours import Behaviour as Behaviour
from .thinking.behaviours import Behaviours as Behaviours
from .thinking.behaviours import Cue as Cue
from .thinking.traces import parsed as parsed
from .thinking.under_thinking import ThinkingProbe as ThinkingProbe
from .tracking.mlflow import MLflow as MLflow
from .training.dpo import DPO as DPO
from .training.grpo import GRPO as GRPO
from .training.on_policy_distillation import OnPolicyDistillation as OnPolicyDistillation
from .training.sft import SFT as SFT
from .verification.exact import Exact as Exact
from .verification.last_number import LastNumber as LastNumber
from .verification.mathematical import Mathematical as Mathematical
from .verification.multiple_choice import MultipleChoice as MultipleChoice
from .verification.python_tests import PythonTests as PythonTests
from .verification.reasoning_gym_scorer import ReasoningGymScorer as ReasoningGymScorer
from .workflow.teacher import Teacher as Teacher
from .workflow.workflow import Round as Round
from .workflow.workflow import Workflow as Workflow

__all__: list[str]
