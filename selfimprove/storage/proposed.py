"""Where the questions that were proposed for a generation are: `proposed/` in its folder."""

from __future__ import annotations

from pathlib import Path

from selfimprove.checkpoints.removed import GENERATION
from selfimprove.problems.proposed import PROPOSED, as_problem
from selfimprove.records import Problem, ProposedQuestion
from selfimprove.storage.files import read_records


def questions_file(generation: Path) -> Path:
    """The file with every question and what became of it; `generation` is the generation's folder."""
    return generation / PROPOSED / "questions.parquet"


def kept_questions(generation: Path) -> list[ProposedQuestion]:
    """The questions that were handed on to this generation; empty where none were asked for."""
    file = questions_file(generation)
    return [one for one in read_records(file, ProposedQuestion) if one.dropped is None] if file.exists() else []


def proposed_problems(generation: Path) -> list[Problem]:
    """The same as problems, each with its label as the answer."""
    found = GENERATION.fullmatch(generation.name)
    return [as_problem(one, int(found[1])) for one in kept_questions(generation)] if found else []
