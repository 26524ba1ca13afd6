"""What a process reward model is used for in the loop."""

from __future__ import annotations

from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.process_reward.search import Search
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.protocols import Prompter, StepScorer


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class StepRewards:
    """Sampled traces are scored thought by thought, for the selector to look at, and sampling itself may be guided."""

    scorer: StepScorer
    """`RewardModel(checkpoint)`."""
    prompter: Prompter = PlainQuestion()
    """How questions are put to it: as in its training."""
    search: Search | None = None
    """How the samples of a problem are searched for, each a tree of its own: `Search(stop_below=0.1)` stops hopeless ones early. None: they are
    sampled as ever."""

    @model_validator(mode="after")
    def _one_trace_each(self) -> StepRewards:
        if self.search is not None and self.search.width > 1:
            raise ValueError("in the loop a search has a width of 1: sampling.n says how many traces a problem gets")
        return self
