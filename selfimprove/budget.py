"""How long a trace thinks, and how soon it may turn to another thought: what the decoding loop is asked to enforce."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config={"extra": "forbid"})
class Budget:
    """Budget forcing (Muennighoff et al. 2025, s1): the end of thinking is held back, or brought about, while the model writes.

    Limits are in tokens of thinking, delimiters left out, or in thoughts as `thinking.thoughts` splits them. Where a least and a most
    disagree, the most counts. Under any limit the turn does not end within the thinking: the thinking is ended there, and an answer follows.
    """

    min_tokens: NonNegativeInt = 0
    """An end before so many tokens is replaced by a continuation."""
    max_tokens: NonNegativeInt | None = None
    """The thinking is ended after so many tokens; 0 for an empty block, None for no limit."""
    min_thoughts: NonNegativeInt = 0
    """An end before the thought of this number is replaced by a continuation."""
    max_thoughts: PositiveInt | None = None
    """The thinking is ended where it has so many complete thoughts."""
    extensions: NonNegativeInt = 0
    """So many ends are replaced by a continuation, however long the thinking is."""
    continuations: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = ("Wait",)
    """What is written in place of an end, in turn."""
    final: str = ""
    """What is written after an end that was brought about (s1: "Final Answer:")."""
    answer_tokens: PositiveInt | None = None
    """The turn is ended so many tokens after the thinking, `final` left out; None for no limit but that of the whole output."""

    @model_validator(mode="after")
    def _fits(self) -> Budget:
        if self.max_tokens is not None and self.max_tokens < self.min_tokens:
            raise ValueError(f"max_tokens={self.max_tokens} is less than min_tokens={self.min_tokens}")
        if self.max_thoughts is not None and self.max_thoughts < self.min_thoughts:
            raise ValueError(f"max_thoughts={self.max_thoughts} is less than min_thoughts={self.min_thoughts}")
        return self


@dataclass(frozen=True, config={"extra": "forbid"})
class SwitchPenalty:
    """The thought-switching penalty (TIP, Wang et al. 2025, "Thoughts are all over the place", equation 4): early in a thought, the logits of the
    tokens that begin another one are lowered."""

    alpha: NonNegativeFloat = 3.0
    """What is taken from the logits, before the temperature divides them."""
    beta: PositiveInt = 600
    """For so many tokens of each thought, as `thinking.thoughts` splits them."""
    words: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = ("Wait", "Alternatively", "Hmm", "Actually")
    """What begins another thought, whatever its case. Of a word that is no single token of the vocabulary, the first token is meant."""
