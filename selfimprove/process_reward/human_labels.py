"""Human labels: reads JSON lines in the format of PRM800K."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, ValidationError

from selfimprove.errors import UserError
from selfimprove.records import LabelledTrace
from selfimprove.records.foreign_text import parse_json, read_text
from selfimprove.records.numbers import NonNegativeInt
from selfimprove.seeds import derive_seed

Text = Annotated[str, StringConstraints(pattern=r"\S")]


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("Input should be -1, 0 or 1, not true or false")
    return value


class _Completion(BaseModel):
    text: Text
    rating: Annotated[Literal[-1, 0, 1], BeforeValidator(_not_bool)] | None = None
    flagged: bool | None = None
    """The labeller could not tell."""


class _Step(BaseModel):
    completions: list[_Completion] | None = None
    human_completion: _Completion | None = None
    chosen_completion: NonNegativeInt | None = None


class _Label(BaseModel):
    finish_reason: str | None = None
    steps: Annotated[list[_Step], Field(min_length=1)]


class _Question(BaseModel):
    problem: Text


class _Row(BaseModel):
    question: _Question
    label: _Label


def read_human_labels(file: Path, neutral: float = 1.0) -> list[LabelledTrace]:
    """The labelled solutions of a JSONL file in the format of PRM800K (Lightman et al. 2023, "Let's Verify Step by Step").

    Each solution gives one trace that follows the chosen completions, or the one written by a person where none was chosen. Every other completion
    gives a trace of its own with a label only at its end. Positive ratings and steps written by a person are 1, negative ratings 0; a step without a
    rating, or flagged as undecidable, has no label. Problems reported as broken are left out. Each step becomes a line of the thinking.

    Args:
        neutral: the label of a neutral step. 1 as in the paper: a neutral step makes no progress but is no error, and rewards are used here to find
            errors.

    Raises:
        UserError: the file cannot be read, has no solution, or a line has another format; the message names the line.
    """
    if not 0 <= neutral <= 1:
        raise UserError(f"the label of a neutral step is {neutral}: it must be between 0 and 1")
    try:
        lines = read_text(file).split("\n")
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}; give a JSONL file in the format of PRM800K") from error
    found: list[LabelledTrace] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found += _traces(_Row.model_validate(_json(line)), f"{file.stem}/{number}", {1: 1.0, 0: neutral, -1: 0.0})
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"])) or "the line"
                raise UserError(f"{file}, line {number}: {place}: {first['msg']}; use the format of PRM800K") from error
            except _Malformed as error:
                raise UserError(f"{file}, line {number}: {error}") from error
    if not found:
        raise UserError(f"{file} has no labelled solution: write one per line, in the format of PRM800K")
    return found


class _Malformed(Exception):
    """An error that the types of the format cannot express."""


def _json(line: str) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        raise _Malformed(f"the line: Invalid JSON: {error}") from error


def _traces(row: _Row, name: str, labels: dict[int, float]) -> Iterator[LabelledTrace]:
    if row.label.finish_reason == "bad_problem":
        return
    problem, question = f"prm800k-{derive_seed(row.question.problem):012x}", row.question.problem
    path: list[_Completion] = []

    def trace(name: str, steps: list[_Completion], first: int) -> LabelledTrace:
        """A trace with labels from step `first` on."""
        thoughts = tuple(("\n" if place == 0 else "") + step.text.rstrip("\n") + "\n" for place, step in enumerate(steps))
        known = [None if place < first or step.rating is None or step.flagged else labels[step.rating] for place, step in enumerate(steps)]
        return LabelledTrace(name, problem, question, thoughts, tuple(known), (0,) * len(steps))

    for place, step in enumerate(row.label.steps):
        completions = step.completions or []
        if step.chosen_completion is not None and step.chosen_completion >= len(completions):
            raise _Malformed(f"step {place} chooses completion {step.chosen_completion} of {len(completions)}")
        for number, other in enumerate(completions):
            if number != step.chosen_completion:
                yield trace(f"{name}/t{place}/c{number}", [*path, other], place)
        if step.chosen_completion is not None:
            path.append(completions[step.chosen_completion])
        elif step.human_completion is not None:
            path.append(step.human_completion.model_copy(update={"rating": 1}))
        elif place + 1 < len(row.label.steps):
            raise _Malformed(f"step {place} has neither a chosen completion nor one by a person, but other steps follow it")
    if path:
        yield trace(name, path, 0)
