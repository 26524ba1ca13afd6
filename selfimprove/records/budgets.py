"""Limits on thinking that the decoding loop enforces: budgets, and a penalty on switching thoughts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import floor
from typing import Annotated

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.records.numbers import NonNegativeFloat, NonNegativeInt, PositiveInt


@dataclass(frozen=True, config={"extra": "forbid"})
class Budget:
    """Budget forcing (Muennighoff et al. 2025, s1): the end of thinking is suppressed or forced while the model writes.

    Limits count tokens of thinking without delimiters, or thoughts as `thinking.thoughts` splits them. Where a minimum and a maximum conflict, the
    maximum wins. Under any limit a turn never ends within the thinking: the thinking is ended there, and an answer follows.
    """

    min_tokens: NonNegativeInt = 0
    """Minimum number of thinking tokens: an earlier end is replaced by a continuation."""
    max_tokens: NonNegativeInt | None = None
    """Maximum number of thinking tokens; 0 for an empty block, None for no limit."""
    min_thoughts: NonNegativeInt = 0
    """Minimum number of thoughts: an earlier end is replaced by a continuation."""
    max_thoughts: PositiveInt | None = None
    """Maximum number of complete thoughts; None for no limit."""
    extensions: NonNegativeInt = 0
    """Number of ends to replace by a continuation, however long the thinking is."""
    continuations: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = ("Wait",)
    """Texts that replace an end, in turn."""
    final: str = ""
    """Text that follows a forced end (s1: "Final Answer:")."""
    answer_tokens: PositiveInt | None = None
    """Maximum number of tokens after the thinking, without `final`; None for the limit of the whole output."""

    @model_validator(mode="after")
    def _fits(self) -> Budget:
        if self.max_tokens is not None and self.max_tokens < self.min_tokens:
            raise ValueError(f"max_tokens={self.max_tokens} is less than min_tokens={self.min_tokens}")
        if self.max_thoughts is not None and self.max_thoughts < self.min_thoughts:
            raise ValueError(f"max_thoughts={self.max_thoughts} is less than min_thoughts={self.min_thoughts}")
        return self


EDGE = 1e-3
"""Distance that a predicted solve rate keeps from 0 and 1: no prediction is certain."""


@dataclass(frozen=True, config={"extra": "forbid"})
class BudgetByDifficulty:
    """A thinking budget for each problem by its predicted solve rate p: at most easy + (hard - easy) · (1 - p)^γ tokens.

    With `hard` above `easy`, hard problems may think longer; with `hard` below, hopeless ones are cut short. The rule is monotone in p.
    """

    easy: NonNegativeInt
    """Maximum number of thinking tokens for a problem that is always solved."""
    hard: NonNegativeInt
    """Maximum number of thinking tokens for a problem that is never solved."""
    mean: NonNegativeFloat | None = None
    """Mean of the limits over the problems that are predicted together, which fixes γ; their sum is exact to half a token. None: γ = 1."""
    otherwise: Budget = Budget()
    """Limits that hold for every problem."""

    @model_validator(mode="after")
    def _fits(self) -> BudgetByDifficulty:
        low, high = sorted((self.easy, self.hard))
        if self.otherwise.max_tokens is not None:
            raise ValueError("otherwise.max_tokens is chosen for each problem: leave it out")
        if low < self.otherwise.min_tokens:
            raise ValueError(f"easy and hard must not be less than otherwise.min_tokens={self.otherwise.min_tokens}")
        if self.mean is not None and not low <= self.mean <= high:
            raise ValueError(f"mean={self.mean:g} is not between easy and hard")
        return self

    @property
    def unpredicted(self) -> Budget:
        """The budget of a problem without a prediction: the mean, or without one the longer budget."""
        return replace(self.otherwise, max_tokens=max(self.easy, self.hard) if self.mean is None else round(self.mean))

    def budgets(self, predicted: Mapping[str, float]) -> dict[str, Budget]:
        """The budgets of these problems, given their predicted solve rates by id."""
        return {name: replace(self.otherwise, max_tokens=limit) for name, limit in self.limits(predicted).items()}

    def limits(self, predicted: Mapping[str, float]) -> dict[str, int]:
        """Maximum thinking tokens of these problems, given their predicted solve rates by id; the hardest first."""
        names = sorted(predicted, key=lambda name: (predicted[name], name))
        return dict(zip(names, self._rounded([min(max(1 - predicted[name], EDGE), 1 - EDGE) for name in names]), strict=True))

    def _rounded(self, difficulty: Sequence[float]) -> list[int]:
        """Maximum tokens at each of these difficulties, 1 - p."""
        gamma = 1.0 if self.mean is None else self._exponent(difficulty)
        exact = [self.easy + (self.hard - self.easy) * one**gamma for one in difficulty]
        if self.mean is None:
            return [round(one) for one in exact]
        # Tokens left over from rounding down go to the longest limits with room, one each: the sum holds and the order stays.
        limits, room = [floor(one) for one in exact], max(self.easy, self.hard)
        left = round(self.mean * len(exact)) - sum(limits)
        places = range(len(exact)) if self.hard > self.easy else reversed(range(len(exact)))
        longest = sorted((place for place in places if limits[place] < room), key=lambda place: -exact[place])
        for place in longest[: max(0, left)]:
            limits[place] += 1
        return limits

    def _exponent(self, difficulty: Sequence[float]) -> float:
        """The γ that meets the mean: the mean of (1 - p)^γ falls from 1 to 0 as γ grows."""
        if self.mean is None or self.easy == self.hard or not difficulty:
            return 1.0
        wanted = len(difficulty) * (self.mean - self.easy) / (self.hard - self.easy)
        low, high = -7.0, 7.0
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if sum(one**10.0**middle for one in difficulty) > wanted else (low, middle)
        return float(10.0**low)


@dataclass(frozen=True, config={"extra": "forbid"})
class SwitchPenalty:
    """The thought-switching penalty (TIP, Wang et al. 2025, "Thoughts are all over the place", equation 4): it lowers the logits of tokens that begin
    another thought, early in a thought."""

    alpha: NonNegativeFloat = 3.0
    """Amount subtracted from the logits, before the temperature divides them."""
    beta: PositiveInt = 600
    """Number of tokens at the start of each thought to which the penalty applies; `thinking.thoughts` splits thoughts."""
    words: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = ("Wait", "Alternatively", "Hmm", "Actually")
    """Words that begin another thought, in any case. A word of several tokens stands for its first token."""
