"""How traces are sampled, by whichever sampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from selfimprove.protocols import Prompter
from selfimprove.records import Message, Problem, Request
from selfimprove.records.budgets import Budget, BudgetByDifficulty, SwitchPenalty
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.records.numbers import Float, NonNegativeFloat, PositiveInt
from selfimprove.sampling.requests import Requests
from selfimprove.seeds import derive_seed

OWNED = frozenset({"n", "temperature", "top_p", "max_tokens", "seed"})
"""Settings with a field of their own, here or in each request."""
LOOP = frozenset({"extra_args", "logits_processors", "output_kind", "detokenize", "skip_special_tokens", "model", "messages", "stream"})
"""Settings that the sampler itself depends on."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Sampling:
    """How many traces of each problem are sampled, and how."""

    n: PositiveInt = 4
    """Traces per problem."""
    temperature: NonNegativeFloat = 0.8
    """Sampling temperature; 0 is greedy."""
    top_p: Annotated[Float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: tokens are drawn from the most likely ones that together have this probability; 1 draws from all."""
    max_tokens: PositiveInt = 256
    """Maximum number of tokens in one output, thinking and answer together."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further sampling settings, passed untouched to vLLM's `SamplingParams` (`top_k`, `min_p`, `stop`, `repetition_penalty`, …), or by an `Endpoint`
    in the request's body. Qwen3's recommendation is `Sampling(temperature=0.6, top_p=0.95, extra={"top_k": 20, "min_p": 0})`."""
    budget: Budget | BudgetByDifficulty | None = None
    """How long each trace thinks; None sets no limit. A `BudgetByDifficulty` needs `Workflow.difficulty`."""
    switch_penalty: SwitchPenalty | None = None
    """Penalty on starting another thought (TIP); None for no penalty."""

    @field_validator("extra")
    @classmethod
    def _leaves_ours_alone(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in sorted(extra.keys() & OWNED):
            where = "the seed follows from the run's seed" if name == "seed" else f"set Sampling({name}=…)"
            raise ValueError(f"{name} cannot be set in extra: {where}")
        for name in sorted(extra.keys() & LOOP):
            raise ValueError(f"{name} cannot be set in extra: sampling depends on it; leave it out")
        return extra

    def requests(
        self,
        problems: Sequence[Problem],
        prompts: Mapping[str, tuple[Message, ...]],
        namespace: str,
        seed: int,
        delimiters: Delimiters = THINK,
        predicted: Mapping[str, float] | None = None,
    ) -> Sequence[Request]:
        """The requests for these problems. Each request's seed follows from the run's seed and the request's id alone.

        `predicted` holds solve rates by problem id, for a budget by difficulty. The budget's mean is over all predictions: pass them all, even with
        some of the problems, and each problem gets the same budget.
        """
        by_difficulty = self.budget.budgets(predicted or {}) if isinstance(self.budget, BudgetByDifficulty) else {}
        same = self.budget.unpredicted if isinstance(self.budget, BudgetByDifficulty) else self.budget
        names = [problem.id for problem in problems]

        def make(problem: int, sample: int) -> Request:
            name = names[problem]
            trace_id = f"{name}/{namespace}/s{sample}"
            return Request(
                id=trace_id,
                problem_id=name,
                messages=prompts[name],
                temperature=self.temperature,
                top_p=self.top_p,
                max_tokens=self.max_tokens,
                extra=self.extra,
                seed=derive_seed(seed, trace_id),
                delimiters=delimiters,
                budget=by_difficulty.get(name, same),
                switch_penalty=self.switch_penalty,
            )

        return Requests([self.n] * len(names), make)


def another(request: Request, sample: int, seed: int) -> Request:
    """The same request for another sample of its problem; `seed` is the run's."""
    trace_id = f"{request.id.rpartition('/s')[0]}/s{sample}"
    return replace(request, id=trace_id, seed=derive_seed(seed, trace_id))


def requests_for(
    problems: Sequence[Problem],
    prompter: Prompter,
    sampling: Sampling,
    name: str,
    seed: int = 0,
    delimiters: Delimiters = THINK,
    predicted: Mapping[str, float] | None = None,
) -> Sequence[Request]:
    """The requests for these problems, each built when it is looked at; as `Sampling.requests`, with the prompts that `prompter` makes."""
    prompts = {problem.id: prompter.messages(problem) for problem in problems}
    return sampling.requests(problems, prompts, name, seed, delimiters, predicted)
