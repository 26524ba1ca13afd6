"""Checks that the verifier accepts no nonsense, before a model finds out that it does."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from selfimprove.records import Outcome, Problem
from selfimprove.records.options import options_of
from selfimprove.verification.pool import OpenVerifierPool

SAMPLE = 20
"""Maximum number of problems that are tried."""
WRONG = 0.2
"""Share of the problems that an answer is wrong for, up to which it may be accepted: the last number of a question can be right by chance."""
EVERYWHERE = 0.95
"""Share of problems from which on one answer must not be right: always giving it would be learnt."""
FEWEST = 10
"""Problems below which one answer may be right for all."""
CHOICES = 5
"""Maximum number of different reference answers that are tried as guesses."""
FORMULA = re.compile(r"[\d\s.()]*\d[\s)]*[-+*/][-+*/\d\s.()]*")
NOT_WORD = re.compile(r"\W+")


@dataclass(frozen=True)
class Guess:
    """How often the verifier accepts one answer, whatever the problem."""

    answer: str
    """The answer, or what it is."""
    accepted: int
    tried: int
    wrong: int
    """Problems with another reference answer among those accepted."""
    possible: int
    """Problems with another reference answer."""

    @property
    def refused(self) -> bool:
        """Whether it is accepted where it is wrong, or for nearly every problem."""
        return self.wrong > WRONG * self.possible or (self.tried >= FEWEST and self.accepted >= EVERYWHERE * self.tried)


def accepted_guesses(pool: OpenVerifierPool, problems: Sequence[Problem]) -> list[Guess]:
    """The answers without a thought that the verifier accepts for some of a sample of the problems, the most accepted first.

    Tried are the empty answer, `0`, `nan`, `inf`, `banana`, the question itself, each option, more than one option, each of a few reference answers,
    and for references that are calculations one that gives 0.42 more.
    """
    # At even steps, problems whose answers alternate would all have the same.
    sample = random.Random(0).sample(problems, min(SAMPLE, len(problems)))
    tries = [one for problem in sample for one in _tries(problem, _common(problems))]
    verified = pool.verify_answers([(one.problem, one.text) for one in tries])
    right = [one for one, outcome in zip(tries, verified, strict=True) if outcome is Outcome.CORRECT]
    guesses = [_counted(name, [one for one in tries if one.name == name], right) for name in dict.fromkeys(one.name for one in tries)]
    several = Counter(problem for problem, _ in {(one.problem.id, one.name) for one in right if one.option})
    with_options = len({one.problem.id for one in tries if one.option})
    more = sum(count > 1 for count in several.values())
    guesses.append(Guess("more than one option", more, with_options, more, with_options))
    return sorted((guess for guess in guesses if guess.accepted), key=lambda guess: -guess.accepted)


@dataclass(frozen=True)
class _Try:
    name: str
    problem: Problem
    text: str
    wrong: bool
    """Whether it differs from the reference answer."""
    option: bool = False


def _counted(name: str, tries: Sequence[_Try], right: Iterable[_Try]) -> Guess:
    accepted = {one.problem.id for one in right if one.name == name}
    possible = {one.problem.id for one in tries if one.wrong}
    return Guess(name, len(accepted), len({one.problem.id for one in tries}), len(accepted & possible), len(possible))


def _tries(problem: Problem, common: Iterable[str]) -> Iterator[_Try]:
    reference = problem.answer.casefold()
    yield _Try("the empty answer", problem, "", bool(reference.strip()))
    yield _Try("'0'", problem, "0", "0" not in reference or any(digit in reference for digit in "123456789"))
    yield _Try("'nan'", problem, "nan", reference.strip() != "nan")
    yield _Try("'inf'", problem, "inf", "inf" not in reference and "∞" not in reference)
    yield _Try("'banana'", problem, "banana", "banana" not in reference)
    yield _Try("the question itself", problem, problem.question, _plain(problem.question) != _plain(reference))
    if FORMULA.fullmatch(reference):
        yield _Try("a result 0.42 too large", problem, f"({problem.answer}) + pi - E", True)
    options = options_of(problem)
    for letter, text in options.items():
        for answer in (letter, text):
            yield _Try(f"option {letter}", problem, answer, wrong=False, option=True)
    for answer in () if options else common:
        yield _Try(repr(answer), problem, answer, _plain(answer) != _plain(reference))


def _common(problems: Sequence[Problem]) -> tuple[str, ...]:
    """The reference answers, if they are few."""
    answers = dict.fromkeys(problem.answer for problem in problems)
    return tuple(answers) if len(answers) <= min(CHOICES, len(problems) // 2) else ()


def _plain(text: str) -> str:
    return NOT_WORD.sub(" ", text.casefold()).strip()
