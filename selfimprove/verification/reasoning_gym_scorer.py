"""Verifies an answer with the scorer of the reasoning-gym task that the problem comes from."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.metadata import version
from math import isfinite
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Confinement, Verifier
from selfimprove.records import Grade, Outcome, Problem
from selfimprove.verification.reasoning_gym_answers import is_right, restrict_evaluation, safe_to_score


@dataclass(frozen=True, config={"extra": "forbid"})
class ReasoningGymScorer(Verifier):
    """Accepts an answer that the task's own scorer gives full marks, 1.0. A lower score is partial credit for a wrong answer.

    It verifies problems of the source `ReasoningGym`, whatever their task. Nine upstream scorers evaluate an answer as Python: they get a literal or
    a formula, nothing else. Full marks that a scorer gives to a constant or to a wrong number are not believed.
    """

    confinement: Confinement = Confinement(when="always")
    """How it is confined. `always`: it is refused on a machine without Landlock or seccomp."""

    name = "reasoning-gym"
    version = f"{version('reasoning-gym')}+1"

    def prepare(self) -> None:
        """Import reasoning-gym."""
        import reasoning_gym  # noqa: F401

    def verify(self, problem: Problem, answer: str) -> Outcome | Grade:
        """The scorer's grade. Raises ValueError for a problem from another source."""
        metadata = problem.metadata
        if not {"task", "settings", "entry"} <= set(metadata):
            raise ValueError(f"problem {problem.id} does not come from the source ReasoningGym; use another verifier")
        entry = {"question": problem.question, "answer": problem.answer, "metadata": _from_json(metadata["entry"])}
        task = metadata["task"]
        scorer = _task(task, json.dumps(dict(metadata["settings"]), sort_keys=True))
        score = scorer.score_answer(safe_to_score(task, answer, problem.answer), entry)
        if score >= 1.0 and not is_right(task, answer, entry):
            return Grade(0.0)
        # Some scorers subtract or add more than there is, and one returns `nan`.
        return Grade(min(max(score, 0.0), 1.0) if isfinite(score) else 0.0)


@lru_cache(maxsize=64)
def _task(name: str, settings: str) -> Any:
    """The task with the settings that the problem was made with, because some scorers use them."""
    import reasoning_gym

    task = reasoning_gym.create_dataset(name, size=1, seed=0, **json.loads(settings))
    restrict_evaluation(name, task)
    return task


def _from_json(value: Any) -> Any:
    """Metadata as the task made it: some scorers compare tuples, which the source stores as `{"tuple": [...]}`."""
    if isinstance(value, dict):
        if set(value) == {"tuple"}:
            return tuple(_from_json(item) for item in value["tuple"])
        return {key: _from_json(item) for key, item in value.items()}
    return [_from_json(item) for item in value] if isinstance(value, list) else value
