"""A workflow: which part plays each role, and how the generations run."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.difficulty.model import DifficultyModel
from selfimprove.evaluation.gates import NotWorse
from selfimprove.process_reward.step_rewards import StepRewards
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.prompting.hints import Rationalization
from selfimprove.prompting.retry import Retry
from selfimprove.protocols import (
    Allocator,
    Control,
    Gate,
    Mixture,
    ProblemSource,
    Prompter,
    Reinforcer,
    Resources,
    Sampler,
    Selector,
    Stop,
    Trainer,
    Verifier,
)
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.records.numbers import Float, Int, PositiveInt
from selfimprove.sampling.allocation import FixedK
from selfimprove.sampling.sampling import Sampling
from selfimprove.selection.contamination import Contamination
from selfimprove.selection.controls import AnswerOnly
from selfimprove.selection.keep_correct import KeepCorrect
from selfimprove.selection.preference_pairs import PreferencePairs
from selfimprove.selection.reflection import Reflection
from selfimprove.selection.replay import Replay
from selfimprove.settings.objects import no_class
from selfimprove.thinking.behaviours import Behaviours
from selfimprove.thinking.under_thinking import ThinkingProbe
from selfimprove.training.drift_text import DriftText
from selfimprove.verification.function_verifier import as_verifier
from selfimprove.verification.pool import VerifierPool
from selfimprove.workflow.conflicts import conflicts
from selfimprove.workflow.guard import Guard
from selfimprove.workflow.proposer import Proposer
from selfimprove.workflow.teacher import Teacher


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Round:
    """Settings of one generation. Each is as in `Workflow`; None takes the workflow's."""

    problems: ProblemSource | None = None
    """Problems that this generation learns from in place of the workflow's. The evaluation stays as it is, so generations can be compared."""
    problems_per_generation: PositiveInt | None = None
    sampling: Sampling | None = None
    allocator: Allocator | None = None
    selector: Selector | None = None
    mixture: Mixture | None = None
    start_from: Literal["base", "champion"] | None = None
    trainer: Trainer | None = None
    preference_pairs: PreferencePairs | None = None
    reinforcement: Reinforcer | None = None
    process_reward: StepRewards | None = None

    _objects = field_validator("*", mode="before")(no_class)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Workflow:
    """One experiment. Every field is a part or a plain setting; `--set` changes each by its path (`--set sampling.temperature=0.7`)."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
    """Name of the run folder: letters, digits, `_`, `-` and `.`."""
    problems: ProblemSource
    """Problems to learn from. `problems.curriculum.Curriculum` gives them in levels."""
    eval_problems: ProblemSource | PositiveInt
    """Evaluation problems: a source, or the number to set apart from `problems`: of each level, if these have levels."""
    test_problems: ProblemSource | PositiveInt | None = None
    """Problems of the final test, given as those of the evaluation: asked once, at the end, of the base model, the champion and the
    baselines. The evaluation chooses the champion, so only a test measures it without bias. None: no test."""
    verifier: Verifier
    """Tells right answers from wrong ones; a function of a problem and an answer becomes a `FunctionVerifier`."""
    sampler: Sampler
    trainer: Trainer
    also: tuple[Verifier, ...] = ()
    """Further verifiers of the evaluations' traces, such as `(LastNumber(),)`: a gain of form alone shows, since a lenient one credits the base model
    too. They change neither training nor the gate, so a run may be continued with others; what is missing is then judged."""
    also_prompters: tuple[Prompter, ...] = ()
    """Further prompts for the evaluation problems, such as `(ZeroShot(),)`, put to the base model and the final champion: a gain that holds under one
    prompt alone is one of form. They change neither training nor the gate, so a run may be continued with others."""
    guards: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], Guard] = field(default_factory=dict)
    """Guards against forgetting, by name: `{"sorting": Guard(problems=…, verifier=…)}`. The gate also refuses a candidate that has lost more than a
    guard's margin against the base model."""
    base_model: str = "smollm2-135m-instruct"
    """A Hugging Face id, a local folder, or the embedded model."""
    chat_template: dict[str, Any] = field(default_factory=dict)
    """Defaults for variables of the model's chat template, such as `{"enable_thinking": False}`. Every checkpoint of the run carries them."""
    prompter: Prompter = PlainQuestion()
    """How the model is asked: in training, in evaluation, and in sampling from generation 2 on."""
    first_prompter: Prompter | None = None
    """How the base model is asked in generation 1, when it needs more help; None for `prompter`."""
    teacher: Teacher | None = None
    """Model that writes the traces of generation 1; None for the base model."""
    delimiters: Delimiters = THINK
    """Delimiters of the thinking. Prompters that mention or show them must use the same."""
    sampling: Sampling = Sampling()
    allocator: Allocator = FixedK()
    """How many traces of each problem are sampled: `sampling.n` of each (`FixedK()`), or more where they gain most (`ExpectedGain()`). A teacher
    always writes the same number of each."""
    eval_sampling: Sampling = Sampling(n=1, temperature=0.0)
    selector: Selector = KeepCorrect()
    rationalization: Rationalization | None = None
    """How unsolved problems are asked again with their answer as a hint (STaR); None: they are not."""
    retry: Retry | None = None
    """How unsolved problems are asked again after the model's critique of its own wrong answer; None: they are not."""
    proposer: Proposer | None = None
    """How the champion is asked for new questions, which the next generation learns from too (R-Zero, Absolute Zero); None: it is not."""
    reflection: Reflection | None = None
    """Rows with reflection and revision, made of right and wrong traces of a problem; None: none are made, and evaluations do not count either."""
    contamination: Contamination | None = Contamination()
    """What counts as giving an evaluation question away; such problems and traces are not trained on. None checks for equal questions only."""
    mixture: Mixture = Replay()
    direct_share: Annotated[Float, Field(ge=0, lt=1)] = 0.0
    """Share of direct rows among those trained on: rows of the mixture once more, with an empty block in place of their thinking, so that the model
    can also answer at once. Base and candidates are then evaluated with thinking off, too; the gate decides with thinking on. 0: neither."""
    gate: Gate = NotWorse()
    stop: Stop | None = None
    """Rule that ends the run early; None for none."""
    generations: PositiveInt = 3
    """Number of generations, not counting the base model's evaluation."""
    problems_per_generation: PositiveInt | None = None
    """Number of problems drawn in each generation; None for all."""
    accepted_cap: PositiveInt | None = None
    """Number of accepted traces after which a problem is not sampled again; None for no limit."""
    start_from: Literal["base", "champion"] = "base"
    """Weights that each training starts from: the base model's (STaR, ReST-EM) or the champion's."""
    preference_pairs: PreferencePairs | None = None
    """Use of wrong traces: pairs with right ones (DPO), and data to train a verifier on; None: they are only counted."""
    reinforcement: Reinforcer | None = None
    """Trainer that learns from rewards on problems in place of rows, such as `GRPO()`; None: rows are trained on."""
    rounds: tuple[Round, ...] = ()
    """Settings of single generations, the first generation's first; later generations follow the workflow's settings."""
    overlap: Literal[0, 1] = 0
    """1: each generation from the second on is sampled from the champion before the last, while the generation before it trains, where sampler and
    trainer never share a GPU. Its traces are then one step off-policy unless the last candidate was refused. 0: one after the other."""
    average: Annotated[Float, Field(gt=0, lt=1)] | None = None
    """Share of the start's weights in a second candidate: the average of the trained one with what its training started from, which forgets less.
    Both are evaluated, and the generation goes on with the better of those that gate and guards let through. None: no second candidate."""
    keep_checkpoints: Literal["champion", "all"] | PositiveInt = "all"
    """Which checkpoints to keep on disk: `"all"`, the champion's only (`"champion"`), or the champion's and those of the last n generations. When the
    next generation is complete, the others are removed. A run may be continued with another value."""
    controls: tuple[Control, ...] = ()
    """Trainings on other rows for as many steps, evaluated beside the champion: `RandomSelection()`, `ShuffledAnswers()`, or your own."""
    answer_only_baseline: bool = False
    """Whether to train a baseline on the same questions with the answers alone, for the same number of steps, and evaluate it alike."""
    behaviours: Behaviours | None = None
    """Cues for the reasoning behaviour of a thought (plan, reflection, revision, …); None for those of `thinking.behaviours`."""
    drift: DriftText | None = DriftText()
    """Text on which the base model and each candidate are measured: its negative log-likelihood, and how far the candidate's predictions are from the
    base model's (forward KL), a sign of forgetting. The gate does not see it. None: neither."""
    probe: ThinkingProbe | None = None
    """Which sampled traces are probed by truncating their thinking, for under-thinking and for selection; None for no probing."""
    process_reward: StepRewards | None = None
    """Process reward model that scores the thoughts of sampled traces for the selector, and whether it guides sampling; None for none. A teacher's
    traces are scored but not guided."""
    difficulty: DifficultyModel | None = None
    """Model that predicts from generation 2 on how often each problem will be solved; None for no prediction."""
    verifier_deadline: Annotated[Float, Field(gt=0)] = 5.0
    """Seconds after which verifying one answer is stopped."""
    verifier_resources: Resources = field(default=Resources(cpus=0, gpus=0), metadata={"described": False})
    """Copies of the verifier, which share the traces, and what each reserves: `Resources(copies=4, cpus=2)` for four with two processes each. A copy
    that reserves less than one CPU uses all those of its machine, between the steps of the sampler. A run may be continued with other copies."""
    seed: Int = 0
    """Fixes every random draw: the evaluation problems, traces, the order of rows. Runs with different seeds show how much is chance."""

    _objects = field_validator("*", mode="before")(no_class)

    @field_validator("verifier", mode="before")
    @classmethod
    def _of_a_function(cls, value: Any) -> Any:
        return as_verifier(value)

    @field_validator("keep_checkpoints", mode="before")
    @classmethod
    def _keeps_some(cls, value: Any) -> Any:
        if value not in ("champion", "all") and (type(value) is not int or value < 1):
            raise ValueError('give "champion", "all", or a number of generations from 1 on')
        return value

    @field_validator("also", mode="before")
    @classmethod
    def _also_of_functions(cls, value: Any) -> Any:
        several = value if isinstance(value, (list, tuple)) else (value,)
        return tuple(as_verifier(no_class(one)) for one in several)

    @field_validator("also_prompters", mode="before")
    @classmethod
    def _several_prompters(cls, value: Any) -> Any:
        return tuple(map(no_class, value if isinstance(value, (list, tuple)) else (value,)))

    @model_validator(mode="after")
    def _settings_agree(self) -> Workflow:
        if conflict := next(conflicts(self), None):
            raise ValueError(conflict)
        return self

    def lag(self, number: int) -> int:
        """By how many generations the champion that samples generation `number` lags behind the last: 1 with `overlap`, else 0.

        It goes by settings alone, so that a run gives the same traces however long its stages take. The first generation that the student samples has
        no earlier champion.
        """
        return self.overlap if number > (2 if self.teacher else 1) else 0

    @property
    def all_controls(self) -> tuple[Control, ...]:
        """The controls, with the answer-only baseline where it is asked for."""
        return (*((AnswerOnly(),) if self.answer_only_baseline else ()), *self.controls)

    @property
    def verifiers(self) -> VerifierPool:
        """The verifier with its deadline and copies, as the stages open it."""
        resources = self.verifier_resources
        # A verifier computes on no GPU, unless its own field says so.
        return VerifierPool(self.verifier, self.verifier_deadline, resources=replace(resources, gpus=resources.gpus or 0))

    @property
    def further_verifiers(self) -> tuple[VerifierPool, ...]:
        """The verifiers of `also`, as the stages open them."""
        return tuple(VerifierPool(verifier, self.verifier_deadline) for verifier in self.also)

    @property
    def needs_reference(self) -> bool:
        """Whether the problems to learn from need reference answers: to select, reinforce or join traces by verdicts, or for another part."""
        practised = self.reinforcement is not None or any(one.reinforcement for one in self.rounds)
        joined = (self.reflection is not None and self.reflection.makes_rows) or self.retry is not None
        verified = self.verifier.needs_reference and (self.selector.needs_reference or practised or joined)
        return verified or self.answer_only_baseline or self.rationalization is not None

    @property
    def sets(self) -> dict[str, Any]:
        """The arguments of `problems.sets.load_sets`."""
        return {
            "source": self.problems,
            "eval_problems": self.eval_problems,
            "test_problems": self.test_problems,
            "seed": self.seed,
            "needs_reference": self.needs_reference,
            "eval_needs_reference": self.verifier.needs_reference,
            "guards": {name: (guard.problems, guard.verifier.needs_reference) for name, guard in self.guards.items()},
            "rounds": {
                number: (own.problems, self.of_generation(number).needs_reference) for number, own in enumerate(self.rounds, start=1) if own.problems
            },
        }

    def of_generation(self, number: int) -> Workflow:
        """The workflow with the settings of this generation's round."""
        own = vars(self.rounds[number - 1]) if number <= len(self.rounds) else {}
        return replace(self, **{name: value for name, value in own.items() if value is not None})
