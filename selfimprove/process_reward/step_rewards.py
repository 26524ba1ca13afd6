"""The use of a process reward model in the loop."""

from __future__ import annotations

from pydantic import ConfigDict, field_validator, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.process_reward.search import Search
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.protocols import Prompter, StepScorer
from selfimprove.settings.objects import no_class


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class StepRewards:
    """Scores sampled traces thought by thought, for selectors to use, and optionally guides the sampling itself."""

    scorer: StepScorer
    """The model, such as `RewardModel(checkpoint)`."""
    prompter: Prompter = PlainQuestion()
    """How questions are put to the model. Use the same prompter as in its training."""
    search: Search | None = None
    """Search that samples each trace as a tree of its own: `Search(stop_below=0.1)` stops hopeless traces early. None: plain sampling."""

    _objects = field_validator("*", mode="before")(no_class)

    @model_validator(mode="after")
    def _one_trace_each(self) -> StepRewards:
        if self.search is not None and self.search.width > 1:
            raise ValueError("in the loop, a search must have a width of 1: set the number of traces per problem with sampling.n")
        return self
