"""Every record that flows through the loop, in the order they are made; each is flat, frozen and joined to the others by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from typing_extensions import TypedDict

from selfimprove.budget import Budget, SwitchPenalty
from selfimprove.delimiters import THINK, Delimiters


class Message(TypedDict):
    """One turn of a chat, in the form that chat templates take."""

    role: str
    content: str


class Outcome(StrEnum):
    """What became of one trace; the five are never folded into one another."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSEABLE = "unparseable"
    """There is nothing to judge: the thinking never ended or nothing follows it; or the problem has no reference answer to judge by."""
    TIMEOUT = "timeout"
    """The verifier was killed at its deadline: the answer is undecided."""
    CRASH = "crash"
    """The verifier failed or died on this answer: the answer is undecided."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its reference answer."""

    id: str
    question: str
    answer: str
    """The reference answer; empty where there is none."""
    source: str
    """Where it comes from: `reasoning-gym:chain_sum`, `jsonl:train.jsonl`, …"""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the verifier needs beside the answer; JSON values only."""


@dataclass(frozen=True, slots=True)
class Request:
    """One trace asked of a sampler: a prompt and how to decode it."""

    id: str
    """The id of the trace that answers it: `chain_sum-17/g3/s5` is problem `chain_sum-17`, generation 3, sample 5."""
    problem_id: str
    messages: tuple[Message, ...]
    temperature: float
    top_p: float
    max_tokens: int
    """The most tokens of the whole output, thinking and answer."""
    seed: int
    """Fixes the tokens of this request, whatever else runs beside it (on one kind of device)."""
    delimiters: Delimiters = THINK
    budget: Budget | None = None
    """How long it may think, and has to; None: as long as it does."""
    switch_penalty: SwitchPenalty | None = None
    """How much another thought is held back; None: not at all."""
    prefix: tuple[int, ...] = ()
    """Tokens of the answering turn that are there already, behind the prompt: the model goes on from them. A budget counts from here on."""
    stop_after_thoughts: int | None = None
    """The turn is ended where so many more thoughts are complete, as `thinking.thoughts` splits them; None: the model ends it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an endpoint counted for the traces that it wrote."""

    prompt_tokens: int
    output_tokens: int
    cost: float
    """By the prices of the endpoint's settings, in their currency; 0 where they name none."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt_tokens + other.prompt_tokens, self.output_tokens + other.output_tokens, self.cost + other.cost)


@dataclass(frozen=True, slots=True)
class Trace:
    """What a checkpoint, or a teacher, wrote for one request."""

    id: str
    problem_id: str
    checkpoint_id: str
    prompt_token_ids: tuple[int, ...]
    output_token_ids: tuple[int, ...]
    text: str
    """The output as text, end-of-turn token left out."""
    forced: tuple[tuple[int, int], ...]
    """Half-open spans of `output_token_ids` that the decoding loop wrote, not the model."""
    finish_reason: str
    """`stop`: the model ended its turn; `length`: the token limit did; `thought`: it was ended after as many thoughts as were asked for;
    `hopeless`: it was given up for the low rewards of its thoughts."""
    temperature: float
    seed: int
    delimiters: Delimiters = THINK
    opened: bool = False
    """What precedes the text has opened the thinking: it starts inside the block."""
    usage: Usage | None = None
    """Of an endpoint, which shows no token ids; None where they are there."""

    @property
    def output_tokens(self) -> int:
        """Tokens of the output, by its ids or as the endpoint counted them."""
        return self.usage.output_tokens if self.usage else len(self.output_token_ids)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier found out about one trace."""

    trace_id: str
    outcome: Outcome
    answer: str | None
    """The answer as it was extracted; None where there is none."""
    verifier: str
    version: str


@dataclass(frozen=True, slots=True)
class Tries:
    """How the sampling of one problem stands in one generation: what an allocator goes by."""

    problem_id: str
    solve_rate: float | None = None
    """As it was predicted before the first trace: by a model of difficulty, or from earlier generations; None: nothing is known."""
    asked: int = 0
    """Traces asked for, those that are not judged yet included."""
    judged: int = 0
    accepted: int = 0
    """Of the judged ones, those that the selector keeps."""
    distinct: int = 0
    """Of the accepted ones, those of different text."""
    tokens: int = 0
    """Of the judged traces' outputs."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What one thought of a trace was worth: the thinking was ended after it, and the answers that came were judged."""

    trace_id: str
    thought: int
    """Its number among the thoughts that are not blank, from 0."""
    tokens: int
    """Output tokens of the trace up to the end of this thought."""
    right: int
    samples: int

    @property
    def correct(self) -> bool:
        """More than half of the answers are right."""
        return 2 * self.right > self.samples


@dataclass(frozen=True, slots=True)
class StepRewards:
    """What a process reward model says of one trace."""

    trace_id: str
    rewards: tuple[float, ...]
    """One for each complete thought, in order: the chance that what goes on from it ends right."""


@dataclass(frozen=True, slots=True)
class JudgedTrace:
    """A trace beside its verdict, and beside its probes and step rewards where there are any."""

    trace: Trace
    verdict: Verdict
    probes: tuple[Probe, ...] = ()
    """One for each thought that is not blank, in order; none where it was not probed."""
    rewards: tuple[float, ...] = ()
    """One for each complete thought, in order; none where there is no process reward model, or no thought."""


@dataclass(frozen=True, slots=True)
class AcceptedTrace:
    """A row to train on: given `messages`, write `completion`."""

    trace_id: str
    problem_id: str
    messages: tuple[Message, ...]
    completion: str
    origin: str
    """`sampled`; `teacher`, where another model wrote it; `rationalized`, where the answer was given as a hint; `shortened`, where thoughts after the
    first from which on every probe was right are left out; `answer-only` for a row of that baseline."""
    generation: int
    completion_token_ids: tuple[int, ...] | None = None
    """The completion as the model that trains wrote it, token for token; None where its text alone counts, as for a teacher's or a rewritten one."""
    forced: tuple[tuple[int, int], ...] = ()
    """Half-open spans of `completion_token_ids` that the decoding loop wrote: no loss is taken on them."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a selector keeps, and how many traces it drops for which reason."""

    accepted: tuple[AcceptedTrace, ...]
    drops: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """A right and a wrong trace of one problem and one generation: given `messages`, write `chosen` rather than `rejected`."""

    problem_id: str
    generation: int
    messages: tuple[Message, ...]
    chosen_id: str
    """The trace's."""
    chosen: str
    chosen_token_ids: tuple[int, ...] | None
    """As the model wrote it, token for token; None where its text alone counts, as in `AcceptedTrace`."""
    chosen_forced: tuple[tuple[int, int], ...]
    """Half-open spans of the ids that the decoding loop wrote: they do not count."""
    rejected_id: str
    rejected: str
    rejected_token_ids: tuple[int, ...] | None
    rejected_forced: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class VerifierRow:
    """A judged trace as a verifier is trained on it: given `question` and `trace`, tell `right`."""

    problem_id: str
    question: str
    trace_id: str
    trace: str
    """The whole text, thinking and answer."""
    answer: str | None
    """As it was extracted."""
    right: bool
    generation: int
    """In which it was sampled."""


@dataclass(frozen=True, slots=True)
class LabelledTrace:
    """How good each thought of a trace is: what a process reward model learns from."""

    trace_id: str
    problem_id: str
    prompt: str
    """The bare question."""
    thoughts: tuple[str, ...]
    """To the letter: one after the other they are the thinking."""
    labels: tuple[float | None, ...]
    """For each thought, the share of the rollouts from its end that end correct, or a person's judgement, 0 to 1; None: not labelled."""
    counts: tuple[int, ...]
    """How many rollouts each label is the share of; 0 where a person judged, and where there is no label."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """A problem to practise on, as it is put to the model: what reinforcement learns from."""

    problem: Problem
    messages: tuple[Message, ...]
    delimiters: Delimiters = THINK


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One optimizer step, as it happens."""

    step: int
    steps: int
    """How many there will be."""
    loss: float
    """Mean cross-entropy over the completion tokens of the step, in nats; for pairs and for reinforcement, the loss of their kind."""
    learning_rate: float
    tokens: int
    """Tokens trained on up to and with this step, prompts included, padding not."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What else the trainer measured, by name: `margin` of pairs, `reward` of reinforcement, …"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model on disk: weights, tokenizer and chat template in one folder."""

    id: str
    path: str
    parent_id: str | None
    generation: int
    weights_hash: str
    """SHA-256 over the safetensors files."""
    tokenizer_hash: str
    """SHA-256 over the tokenizer's files and the chat template."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a checkpoint did in one exam."""

    checkpoint_id: str
    problems: int
    pass_at_1: float
    """Share of problems solved by one sample; the mean over samples where there are several."""
    interval: tuple[float, float]
    """95 % interval of `pass_at_1` over problems."""
    pass_at_k: Mapping[int, float]
    """Chance that at least one of k samples is right, by k."""
    majority_at_k: Mapping[int, float]
    """Share of problems whose most frequent answer among the first k samples is right, by k."""
    outcomes: Mapping[str, int]
    """Traces by outcome."""
    tokens: int
    """Tokens sampled in the exam."""
    solved: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Right samples and all samples of each problem, by its id: what paired tests and the ledger compare."""
    pass_at_k_interval: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """95 % interval of each pass@k over problems."""
    majority_at_k_interval: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """95 % interval of each majority@k over problems."""

    @property
    def undecided(self) -> float:
        """Share of the exam's traces on which no verdict was reached: `timeout` or `crash`."""
        return (self.outcomes.get("timeout", 0) + self.outcomes.get("crash", 0)) / max(1, sum(self.outcomes.values()))


@dataclass(frozen=True, slots=True)
class Decision:
    """What a gate says of a candidate."""

    promote: bool
    why: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one exam changed in the coverage ledger; problems by id."""

    newly_solved: tuple[str, ...]
    """Solved for the first time in any exam of the run."""
    forgotten: tuple[str, ...]
    """Solved by the champion before, and now in none of the samples."""
    never_solved: tuple[str, ...]
    """In no exam so far, this one included."""
    trend: str
    """`expansion`: pass@k up; `sharpening`: pass@1 up, pass@k not; `contraction`: either down; `plateau`: neither moved by more than chance."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """How often one problem was solved in one generation."""

    problem_id: str
    set: str
    """`train`: in sampling, by the champion before this generation; `held_out`: in the exam, by this generation's candidate."""
    generation: int
    right: int
    samples: int


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """One generation in figures: who went in, who came out, and what it cost."""

    generation: int
    """0 is the base model's own exam."""
    start: Checkpoint
    """The champion before, which wrote the traces unless a teacher did."""
    candidate: Checkpoint
    score: Score
    """The candidate's."""
    kept: Checkpoint
    """The champion from here on: the candidate, or the one before it."""
    kept_score: Score
    why: str
    """The gate's reason."""
    counts: Mapping[str, int]
    """`sampled`, `verified`, `accepted`, `distinct`, `trained_on`; `falsely_accepted`: accepted though the verifier calls the answer wrong; `pairs`
    where there were any; `rollouts` and `rollouts_right` of practice; `problems`: those with a sample, and `most_samples`: of one of them;
    `hopeless`: traces given up by a search."""
    outcomes: Mapping[str, int]
    """Verdicts on the sampled traces, by outcome."""
    drops: Mapping[str, int]
    """Traces that selection left out, by reason."""
    seconds: Mapping[str, float]
    """Wall time by stage: `sample` (verifying included: they run as one stream), `select`, `train`, `examine`."""
    tokens: Mapping[str, int]
    """Tokens by stage: `sample`, `train`, `examine`; `saved`: by which the traces that a search gave up are shorter than the others on average."""
    coverage: Coverage | None = None
    """What the candidate's exam changed; None for the base model."""
    anatomy: Mapping[str, float] = field(default_factory=dict)
    """Thoughts and moments of the sampled traces, as `thinking.anatomy` names them; empty for the base model."""
    rationalization: Mapping[str, float] = field(default_factory=dict)
    """How many `problems` were asked again with a hint, traces were `sampled`, rows `accepted` and `trained_on`. With an ablation: pass@1 `without`
    the rationalized rows, and their `value`, the difference, with its 90 % interval `value_low` to `value_high`. Empty without rationalization."""
    difficulty: Mapping[str, float] = field(default_factory=dict)
    """How well solve rates were predicted, as `predicting.figures` names it; empty where they were not."""
    spent: Usage | None = None
    """What an endpoint counted for the sampled traces; None where none was asked. Attempts that failed and traces lost to a stop come on top."""

    @property
    def samples_per_problem(self) -> float:
        """Mean over the problems that were sampled; 0 where there are none."""
        problems = self.counts.get("problems", 0)
        return self.counts["sampled"] / problems if problems else 0.0

    @property
    def distinct_per_1000_tokens(self) -> float:
        """Accepted traces of different text for every 1,000 tokens that were sampled for them: the yield of sampling."""
        return 1000 * self.counts.get("distinct", 0) / max(1, self.tokens.get("sample", 0))
