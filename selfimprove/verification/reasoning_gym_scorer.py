"""Judges an answer with the scorer of the reasoning-gym task that the problem comes from."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.records import Outcome, Problem


@dataclass(frozen=True, config={"extra": "forbid"})
class ReasoningGymScorer:
    """Right is what the task's own scorer gives full marks, 1.0; it grades wrong answers too, and those grades count for nothing.

    It judges the problems of the source `ReasoningGym`, whatever their task.
    """

    name = "reasoning-gym"
    version = version("reasoning-gym")

    def prepare(self) -> None:
        """Import reasoning-gym."""
        import reasoning_gym  # noqa: F401

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT or WRONG; raises ValueError for a problem from elsewhere."""
        metadata = problem.metadata
        if not {"task", "settings", "entry"} <= set(metadata):
            raise ValueError(f"problem {problem.id} does not come from the source ReasoningGym; use another verifier")
        entry = {"question": problem.question, "answer": problem.answer, "metadata": _from_json(metadata["entry"])}
        score = _task(metadata["task"], json.dumps(dict(metadata["settings"]), sort_keys=True)).score_answer(answer, entry)
        return Outcome.CORRECT if score >= 1.0 else Outcome.WRONG


@lru_cache(maxsize=64)
def _task(name: str, settings: str) -> Any:
    """The task with the settings the problem was made with: some scorers look at them."""
    import reasoning_gym

    return reasoning_gym.create_dataset(name, size=1, seed=0, **json.loads(settings))


def _from_json(value: Any) -> Any:
    """Metadata as the task made it: some scorers compare tuples, which the source writes `{"tuple": [...]}`."""
    if isinstance(value, dict):
        if set(value) == {"tuple"}:
            return tuple(_from_json(item) for item in value["tuple"])
        return {key: _from_json(item) for key, item in value.items()}
    return [_from_json(item) for item in value] if isinstance(value, list) else value
