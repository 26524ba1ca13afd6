"""How long a trace thinks, and how soon it may turn to another thought: what the decoding loop is asked to enforce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import floor
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


EDGE = 1e-3
"""How near to 0 and 1 a predicted solve rate is taken: no prediction is certain."""


@dataclass(frozen=True, config={"extra": "forbid"})
class BudgetByDifficulty:
    """A budget for each problem, by its predicted solve rate p: at most easy + (hard - easy) · (1 - p)^γ tokens of thinking.

    With `hard` above `easy` hard problems may think longer; with `hard` below, what is hopeless is given up early. The rule is monotone in p.
    """

    easy: NonNegativeInt
    """The most thinking tokens of a problem that is always solved."""
    hard: NonNegativeInt
    """The most thinking tokens of a problem that is never solved."""
    mean: NonNegativeFloat | None = None
    """What the limits come to on average, over the problems that are predicted together, to half a token in their sum: it fixes γ. None: γ = 1."""
    otherwise: Budget = Budget()
    """The other limits, those of every problem."""

    @model_validator(mode="after")
    def _fits(self) -> BudgetByDifficulty:
        low, high = sorted((self.easy, self.hard))
        if self.otherwise.max_tokens is not None:
            raise ValueError("otherwise.max_tokens is what is chosen for each problem: leave it out")
        if low < self.otherwise.min_tokens:
            raise ValueError(f"easy and hard must not be less than otherwise.min_tokens={self.otherwise.min_tokens}")
        if self.mean is not None and not low <= self.mean <= high:
            raise ValueError(f"mean={self.mean:g} is not between easy and hard")
        return self

    @property
    def unpredicted(self) -> Budget:
        """The budget of a problem for which nothing is predicted: the mean, or else the longer one."""
        return replace(self.otherwise, max_tokens=max(self.easy, self.hard) if self.mean is None else round(self.mean))

    def budgets(self, predicted: Mapping[str, float]) -> dict[str, Budget]:
        """The budgets of these problems, given their solve rates by id."""
        return {name: replace(self.otherwise, max_tokens=limit) for name, limit in self.limits(predicted).items()}

    def limits(self, predicted: Mapping[str, float]) -> dict[str, int]:
        """The most thinking tokens of these problems, given their solve rates by id; the hardest first."""
        names = sorted(predicted, key=lambda name: (predicted[name], name))
        return dict(zip(names, self._rounded([min(max(1 - predicted[name], EDGE), 1 - EDGE) for name in names]), strict=True))

    def _rounded(self, difficulty: Sequence[float]) -> list[int]:
        """The most tokens at each of these difficulties, 1 - p."""
        gamma = 1.0 if self.mean is None else self._exponent(difficulty)
        exact = [self.easy + (self.hard - self.easy) * one**gamma for one in difficulty]
        if self.mean is None:
            return [round(one) for one in exact]
        # What rounding down leaves goes to the longest that have room, a token each: so the sum holds and the order stays.
        limits, room = [floor(one) for one in exact], max(self.easy, self.hard)
        left = round(self.mean * len(exact)) - sum(limits)
        places = range(len(exact)) if self.hard > self.easy else reversed(range(len(exact)))
        longest = sorted((place for place in places if limits[place] < room), key=lambda place: -exact[place])
        for place in longest[: max(0, left)]:
            limits[place] += 1
        return limits

    def _exponent(self, difficulty: Sequence[float]) -> float:
        """The γ with which the mean is met: the mean of (1 - p)^γ falls from 1 to 0 as γ grows."""
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
    """The thought-switching penalty (TIP, Wang et al. 2025, "Thoughts are all over the place", equation 4): early in a thought, the logits of the
    tokens that begin another one are lowered."""

    alpha: NonNegativeFloat = 3.0
    """What is taken from the logits, before the temperature divides them."""
    beta: PositiveInt = 600
    """For so many tokens of each thought, as `thinking.thoughts` splits them."""
    words: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = ("Wait", "Alternatively", "Hmm", "Actually")
    """What begins another thought, whatever its case. Of a word that is no single token of the vocabulary, the first token is meant."""
