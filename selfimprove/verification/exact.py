"""Verifies an answer by comparing text."""

from __future__ import annotations

import re
import unicodedata

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem

# Soft hyphen, zero-width space, marks of direction, word joiner, byte order mark. The zero-width joiners stay: they distinguish words and emoji.
INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")
"""Not the signs that turn the direction of text: `21` behind one of them is shown as `12`."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Exact(Verifier):
    """Accepts an answer with the text of the reference answer. Numbers are compared as text: `5.0` is not `5`.

    Leading and trailing white space, the length of white space between words, invisible characters and the composition of characters (Unicode NFC)
    are ignored. Characters that only look alike differ: `x²` is not `x2`, as it would be under NFKC.
    """

    ignore_case: bool = True
    """Whether `paris` is accepted for `Paris`."""

    name = "exact"
    version = "2"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT or WRONG."""
        return Outcome.CORRECT if self._folded(answer) == self._folded(problem.answer) else Outcome.WRONG

    def _folded(self, text: str) -> str:
        if not text.isascii():
            text = unicodedata.normalize("NFC", INVISIBLE.sub("", text))
        folded = " ".join(text.split())
        # Not casefold(): it makes `Maße` the word `Masse`.
        return folded.lower() if self.ignore_case else folded
