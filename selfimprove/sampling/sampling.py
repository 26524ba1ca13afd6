"""How traces are decoded: what is asked of a sampler, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.protocols import Prompter
from selfimprove.records import Message, Problem, Request
from selfimprove.records.budgets import Budget, BudgetByDifficulty, SwitchPenalty
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.sampling.requests import Requests
from selfimprove.seeds import derive_seed


@dataclass(frozen=True, config={"extra": "forbid"})
class Sampling:
    """How many traces of a problem are sampled, and how."""

    n: PositiveInt = 4
    """Traces asked of each problem."""
    temperature: NonNegativeFloat = 0.8
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Tokens are drawn from the likeliest ones that have so much probability together (nucleus sampling); 1: from all."""
    max_tokens: PositiveInt = 256
    """The most tokens of one output, thinking and answer."""
    budget: Budget | BudgetByDifficulty | None = None
    """How long each trace thinks; None: as long as it does. By difficulty needs `Workflow.difficulty`."""
    switch_penalty: SwitchPenalty | None = None
    """How much the beginning of another thought is held back (TIP); None: not at all."""

    def requests(
        self,
        problems: Sequence[Problem],
        prompts: Mapping[str, tuple[Message, ...]],
        namespace: str,
        seed: int,
        delimiters: Delimiters = THINK,
        predicted: Mapping[str, float] | None = None,
    ) -> Sequence[Request]:
        """The requests for these problems; the seed of each follows from the run's seed and the request's id alone.

        `predicted` holds solve rates by problem id, for a budget by difficulty. Its mean is over all of them: ask for a part of the problems with
        the predictions of all, and the budgets are those of asking for all at once.
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
                seed=derive_seed(seed, trace_id),
                delimiters=delimiters,
                budget=by_difficulty.get(name, same),
                switch_penalty=self.switch_penalty,
            )

        return Requests([self.n] * len(names), make)


def another(request: Request, sample: int, seed: int) -> Request:
    """The same asked once more, as this sample of its problem; `seed` is the run's."""
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
