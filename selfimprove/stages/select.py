"""Which traces are good enough to train on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from selfimprove.protocols import Prompter, Selector
from selfimprove.records import (
    JudgedTrace,
    Message,
    Problem,
    Selection,
)


def select(selector: Selector, judged: Iterable[JudgedTrace], problems: Iterable[Problem], prompter: Prompter, generation: int) -> Selection:
    """What is good enough to train on; the rows carry the prompt that `prompter` makes, not the one that was sampled with."""
    prompts: Mapping[str, tuple[Message, ...]] = {problem.id: prompter.messages(problem) for problem in problems}
    return selector.select(judged, prompts, generation)
