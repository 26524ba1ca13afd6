"""Verifies answers with a plain function."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import field
from typing import Any

from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass

from selfimprove.protocols import Confinement, Verifier
from selfimprove.records import Grade, Outcome, Problem

Right = Callable[[Problem, str], "bool | float | Outcome | None"]
"""Takes a problem and the text after the thinking."""


@dataclass(frozen=True, config={"extra": "forbid"})
class FunctionVerifier(Verifier):
    """Verifies with a function of a problem and the answer: `def right(problem, answer) -> bool`.

    It returns whether the answer is right; or a score from 0 to 1, of which only 1 is `correct`; or None if the answer cannot be read. It may be
    defined in the workflow file. `Workflow(verifier=right)` means `FunctionVerifier(right)`.
    """

    function: Any = field(metadata={"described": False})
    """The function. It runs in a confined process and is killed at its deadline."""
    reference: bool = True
    """Whether problems need a reference answer."""
    confinement: Confinement = Confinement()
    """What its process may do besides computing."""
    name: str = Field(default="", validate_default=True)
    """Name in verdicts; empty for the function's."""
    version: str = Field(default="", validate_default=True)
    """Change it whenever the verdicts change; empty for a digest of the function's source, which does not see what the function calls."""

    @field_validator("function")
    @classmethod
    def _takes_two(cls, function: Any) -> Any:
        try:
            inspect.signature(function).bind(None, "")
        except (TypeError, ValueError) as error:
            raise ValueError(f"a function of a problem and an answer is needed, not {function!r:.60}") from error
        return function

    @field_validator("name")
    @classmethod
    def _named(cls, name: str, info: ValidationInfo) -> str:
        return name or str(getattr(info.data.get("function"), "__name__", type(info.data.get("function")).__name__))

    @field_validator("version")
    @classmethod
    def _versioned(cls, version: str, info: ValidationInfo) -> str:
        return version or _digest(info.data.get("function"))

    @property
    def needs_reference(self) -> bool:
        """As `reference` says."""
        return self.reference

    def verify(self, problem: Problem, answer: str) -> Outcome | Grade:
        """The function's verdict. Raises TypeError if it returns something else than a truth value, a score or None."""
        verdict = self.function(problem, answer)
        if isinstance(verdict, Outcome | Grade):
            return verdict
        if verdict is None:
            return Outcome.UNPARSEABLE
        # NumPy's truth values and numbers have `item`.
        plain = verdict.item() if hasattr(verdict, "item") else verdict
        if isinstance(plain, bool):
            return Outcome.CORRECT if plain else Outcome.WRONG
        if isinstance(plain, int | float):
            return Grade(float(plain))
        raise TypeError(f"{self.name} returned {type(verdict).__name__}, not True, False, a score from 0 to 1, or None")


def as_verifier(value: Any) -> Any:
    """The verifier that a plain function becomes; any other value as it is."""
    return FunctionVerifier(value) if inspect.isroutine(value) else value


def _digest(function: Any) -> str:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = repr(getattr(getattr(function, "__code__", None), "co_code", b""))
    return hashlib.sha256(source.encode()).hexdigest()[:12]
