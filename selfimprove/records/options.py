"""The choices of a multiple-choice problem."""

from __future__ import annotations

import string
from collections.abc import Mapping

from selfimprove.records.questions import Problem


def options_of(problem: Problem) -> dict[str, str]:
    """The text of each choice by its capital letter, from `metadata["options"]`: a list (the first is A) or a mapping from letters.

    Empty for a problem without options, or whose options are something else, which another verifier may read.
    """
    options = problem.metadata.get("options")
    if not isinstance(options, Mapping | list | tuple) or not 0 < len(options) <= len(string.ascii_uppercase):
        return {}
    texts = options if isinstance(options, Mapping) else dict(zip(string.ascii_uppercase, options, strict=False))
    if not all(isinstance(text, str) and isinstance(letter, str) and len(letter) == 1 for letter, text in texts.items()):
        return {}
    return {letter.upper(): text for letter, text in texts.items()}
