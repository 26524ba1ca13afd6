"""A workflow: which part plays each role, and how the generations follow one another."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PositiveInt, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.difficulty.model import DifficultyModel
from selfimprove.evaluation.gates import NotWorse
from selfimprove.process_reward.step_rewards import StepRewards
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.prompting.hints import Rationalization
from selfimprove.protocols import Allocator, Gate, Mixture, ProblemSource, Prompter, Reinforcer, Sampler, Selector, Stop, Trainer, Verifier
from selfimprove.records.budgets import BudgetByDifficulty
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.sampling.allocation import ExpectedGain, FixedK
from selfimprove.sampling.sampling import Sampling
from selfimprove.selection.contamination import Contamination
from selfimprove.selection.keep_correct import KeepCorrect
from selfimprove.selection.preference_pairs import PreferencePairs
from selfimprove.selection.replay import Replay
from selfimprove.thinking.behaviours import Behaviours
from selfimprove.thinking.under_thinking import ThinkingProbe
from selfimprove.workflow.teacher import Teacher


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Round:
    """Settings of one generation, as in `Workflow`; None: the workflow's."""

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


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Workflow:
    """One experiment. Every field is a part or a plain setting; `--set` reaches each by its path (`--set sampling.temperature=0.7`)."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
    """Names the run's folder: letters, digits, `_`, `-` and `.`."""
    problems: ProblemSource
    """Problems to learn from."""
    eval_problems: ProblemSource | PositiveInt
    """Problems of the evaluation: a source, or how many to set apart from `problems`."""
    verifier: Verifier
    sampler: Sampler
    trainer: Trainer
    base_model: str = "smollm2-135m-instruct"
    """A Hugging Face id, a local folder, or the embedded model."""
    chat_template: dict[str, Any] = field(default_factory=dict)
    """Defaults for variables of the model's chat template, such as `{"enable_thinking": False}`. Every checkpoint of the run carries them."""
    prompter: Prompter = PlainQuestion()
    """How the model is asked: in training, in the evaluation, and from generation 2 on in sampling."""
    first_prompter: Prompter | None = None
    """How the base model is asked in generation 1, where it needs more help; None for `prompter`."""
    teacher: Teacher | None = None
    """Who writes the traces of generation 1; None: the base model itself."""
    delimiters: Delimiters = THINK
    """What is around the thinking. Prompters that speak of it, or show it, have to use the same."""
    sampling: Sampling = Sampling()
    allocator: Allocator = FixedK()
    """How many traces of each problem are sampled: `sampling.n` of each, or more of some than of others (`ExpectedGain()`). A teacher writes
    as many of each."""
    eval_sampling: Sampling = Sampling(n=1, temperature=0.0)
    selector: Selector = KeepCorrect()
    rationalization: Rationalization | None = None
    """Whether problems without a right sample are asked again with their answer as a hint (STaR), and how; None: they are not."""
    contamination: Contamination | None = Contamination()
    """What counts as giving a held-out question away: such problems and traces are not trained on; None looks at nothing but equal questions."""
    mixture: Mixture = Replay()
    gate: Gate = NotWorse()
    stop: Stop | None = None
    """What ends the run before `generations` are done; None: nothing does."""
    generations: PositiveInt = 3
    """How many there are, the base model's evaluation aside."""
    problems_per_generation: PositiveInt | None = None
    """How many problems are drawn in each generation; None for all."""
    accepted_cap: PositiveInt | None = None
    """A problem with this many accepted traces from earlier generations is not sampled again; None: every problem stays in the draw."""
    start_from: Literal["base", "champion"] = "base"
    """Which weights each training starts from: the base model's (STaR, ReST-EM) or the champion's."""
    preference_pairs: PreferencePairs | None = None
    """What wrong traces are used for: pairs with right ones (DPO), and data for a verifier; None: they are counted and no more."""
    reinforcement: Reinforcer | None = None
    """Who practises on problems in place of the training on rows: `GRPO()`; None: rows are trained on."""
    rounds: tuple[Round, ...] = ()
    """What each generation does in its own way, the first one's first; generations after the last round are as the other settings say."""
    answer_only_baseline: bool = True
    """Also train on the same questions with the answers alone, for the same number of steps, and take the same evaluation."""
    behaviours: Behaviours | None = None
    """The cues that tell what a thought does: plan, reflect, revise, …; None for those of `thinking.behaviours`."""
    probe: ThinkingProbe | None = None
    """Which sampled traces are probed thought by thought, for under-thinking and for selection; None: none is."""
    process_reward: StepRewards | None = None
    """The process reward model that scores the thoughts of sampled traces for the selector, and whether it guides their sampling; None: there is
    none. A teacher's traces are scored, and not guided."""
    difficulty: DifficultyModel | None = None
    """What predicts from the second generation on how often each problem will be solved; None: nothing does."""
    verifier_deadline: Annotated[float, Field(gt=0)] = 5.0
    """Seconds that judging one answer may take."""
    seed: int = 0
    """Fixes every draw: the evaluation's problems, traces, the order of rows. Runs of different seeds show how much is chance."""

    @model_validator(mode="after")
    def _steps_are_scored(self) -> Workflow:
        form = getattr(self.selector, "form", self.selector)
        if getattr(form, "lowest_step", None) is not None and self.process_reward is None:
            raise ValueError("lowest_step looks at the rewards of thoughts: set process_reward=StepRewards(RewardModel(…))")
        return self

    @model_validator(mode="after")
    def _predicts(self) -> Workflow:
        decodings = [self.sampling, self.eval_sampling, *(one.sampling for one in self.rounds if one.sampling)]
        if self.difficulty is None and any(isinstance(one.budget, BudgetByDifficulty) for one in decodings):
            raise ValueError("a budget by difficulty goes by predictions: set difficulty=DifficultyModel()")
        return self

    @model_validator(mode="after")
    def _accepts_while_sampling(self) -> Workflow:
        for one in (Round(), *self.rounds):
            allocator, selector = one.allocator or self.allocator, one.selector or self.selector
            if isinstance(allocator, ExpectedGain) and not getattr(selector, "needs_reference", True):
                told = "and ExpectedGain goes by what is accepted while they come; set allocator=FixedK()"
                raise ValueError(f"{type(selector).__name__} compares all traces of a problem, {told}")
        return self

    @property
    def needs_reference(self) -> bool:
        """Whether the problems to learn from have to have reference answers: unless the selector does without and nothing else uses them."""
        practised = self.reinforcement is not None or any(one.reinforcement for one in self.rounds)
        return getattr(self.selector, "needs_reference", True) or self.answer_only_baseline or self.rationalization is not None or practised

    def of_generation(self, number: int) -> Workflow:
        """The workflow as this generation follows it."""
        own = vars(self.rounds[number - 1]) if number <= len(self.rounds) else {}
        return replace(self, **{name: value for name, value in own.items() if value is not None})
