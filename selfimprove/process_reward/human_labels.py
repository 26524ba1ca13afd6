"""Labels that people gave: JSON lines in the form of PRM800K, checked and converted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, NonNegativeInt, StringConstraints, ValidationError

from selfimprove.errors import UserError
from selfimprove.records import LabelledTrace
from selfimprove.seeds import derive_seed

Text = Annotated[str, StringConstraints(pattern=r"\S")]


class _Completion(BaseModel):
    text: Text
    rating: Literal[-1, 0, 1] | None = None
    flagged: bool | None = None
    """The person could not tell."""


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
    """The labelled solutions of a JSONL file in PRM800K's form (Lightman et al. 2023, "Let's Verify Step by Step").

    Of each solution one trace follows the completions that were chosen (or written by a person, where none was), and every other completion is a
    trace of its own with a label at its end alone. Positive is 1, negative 0, what a person wrote 1; a step without a rating, or flagged as one that
    cannot be told, has no label. Problems reported as broken are left out. Each step becomes a line of the thinking.

    Args:
        neutral: the label of a neutral step. 1 as in the paper: it is no error, only no step ahead, and what a reward is used for here is to tell
            errors.

    Raises:
        UserError: the file cannot be read, holds nothing, or a line has another form; names the line.
    """
    if not 0 <= neutral <= 1:
        raise UserError(f"the label of a neutral step lies between 0 and 1, not at {neutral}")
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    found: list[LabelledTrace] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found += _traces(_Row.model_validate_json(line), f"{file.stem}/{number}", {1: 1.0, 0: neutral, -1: 0.0})
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"])) or "the line"
                raise UserError(f"{file}, line {number}: {place}: {first['msg']}; it has to be in PRM800K's form") from error
            except _Malformed as error:
                raise UserError(f"{file}, line {number}: {error}") from error
    if not found:
        raise UserError(f"{file} holds no labelled solution: each line is one, in PRM800K's form")
    return found


class _Malformed(Exception):
    """What the form's types cannot say."""


def _traces(row: _Row, name: str, labels: dict[int, float]) -> Iterator[LabelledTrace]:
    if row.label.finish_reason == "bad_problem":
        return
    problem, question = f"prm800k-{derive_seed(row.question.problem):012x}", row.question.problem
    path: list[_Completion] = []

    def trace(name: str, steps: list[_Completion], first: int) -> LabelledTrace:
        """With labels from step `first` on."""
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
            raise _Malformed(f"step {place} has neither a chosen completion nor one by a person, and other steps follow it")
    if path:
        yield trace(name, path, 0)
