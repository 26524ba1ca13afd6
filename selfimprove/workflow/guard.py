"""A guard against forgetting: other problems, on which a candidate must not lose more than a margin."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from selfimprove.protocols import ProblemSource, Prompter, Verifier
from selfimprove.records.numbers import Float
from selfimprove.sampling.sampling import Sampling
from selfimprove.settings.objects import no_class
from selfimprove.verification.function_verifier import as_verifier


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Guard:
    """Problems of another kind, asked of the base model and of each candidate; the gate also refuses a candidate that lost too much there.

    A candidate is refused if it lost more than `margin` against the base model (not the champion, so that small losses cannot add up) and if a paired
    test shows the loss: p < 0.05 by McNemar's exact test, one-sided, or by the paired bootstrap with several samples. So a small set does not refuse
    by chance. `selfimprove check` prints the smallest loss that it can refuse.
    """

    problems: ProblemSource
    """Problems that are never trained on: `contamination` covers them like those of the final test."""
    verifier: Verifier
    """Tells right answers from wrong ones; a function of a problem and an answer becomes a `FunctionVerifier`."""
    prompter: Prompter | None = None
    """How the model is asked; None for the workflow's prompter."""
    margin: Annotated[Float, Field(ge=0, le=1)] = 0.05
    """Largest loss of pass@1 against the base model that the guard accepts."""
    sampling: Sampling | None = None
    """How answers are sampled; None for the workflow's `eval_sampling`."""

    _objects = field_validator("*", mode="before")(no_class)

    @field_validator("verifier", mode="before")
    @classmethod
    def _of_a_function(cls, value: Any) -> Any:
        return as_verifier(value)
