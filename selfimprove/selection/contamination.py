"""Keeps evaluation questions out of the training data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.records import AcceptedTrace, Problem
from selfimprove.records.numbers import Float, Int, PositiveInt
from selfimprove.selection.normal_text import OPERATORS, normal_text, signs, words

SHORT = 3
"""Words in an n-gram of the search for near-duplicates: a changed word changes three of them."""
FEWEST = 8
"""Own 3-grams below which a share of them does not tell a near-duplicate from another question of the template."""
CONTINUES = OPERATORS - {"="}
"""Operators beside a short question that make it part of a longer one."""
NUMBERS = 0.9
"""Share of a question's numbers and operators that a near-duplicate repeats: others make another problem."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Contamination:
    """When a text gives away an evaluation question: it contains most of the question's n-grams, or most of its short ones and its numbers.

    The n-grams are 13-grams of words and operators, as in GPT-3 (Brown et al. 2020, appendix C), where a single common one is enough. Here it takes a
    share of them. An n-gram that several evaluation questions have in common is their template and does not count. A question of fewer than n words
    is one n-gram: only the whole question counts.

    Texts are compared without case, punctuation, invisible characters and the difference between letters that look alike. A near-duplicate has
    another name, or another word in twelve: enough of the question's 3-grams remain.
    """

    n: PositiveInt = 13
    """Words and operators in an n-gram."""
    share: Annotated[Float, Field(gt=0, le=1)] = 0.7
    """Share of the question's own n-grams that the text must contain."""
    template: Annotated[Int, Field(ge=2)] = 3
    """Number of evaluation questions with an n-gram in common from which on it counts as their template."""
    near: Annotated[Float, Field(gt=0, le=1)] | None = 0.6
    """Share of the question's own 3-grams from which on a text with the same numbers is a near-duplicate; None: near-duplicates are not searched."""


class EvalIndex:
    """The n-grams of the evaluation questions, without those of their templates."""

    def __init__(self, rule: Contamination, eval_problems: Iterable[Problem]) -> None:
        self._rule = rule
        texts = [(problem.id, normal_text(problem.question)) for problem in eval_problems]
        of_words = {name: words(text) for name, text in texts}
        # Brackets to match, a maze: there the signs make the question.
        drawn = {name for name, text in texts if sum(not (sign.isalnum() or sign.isspace()) for sign in text) > len(of_words[name])}
        self._words = _Grams(rule, rule.n, of_words, of_words.keys() - drawn)
        self._signs = _Grams(rule, rule.n, {name: signs(text) for name, text in texts} if drawn else {}, drawn)
        self._whole = {text: name for name, text in texts if name not in self._words.own and name not in self._signs.own}
        self._short = _Grams(rule, SHORT, of_words, of_words if rule.near else ())
        self._told = of_words

    def given_away(self, text: str) -> str | None:
        """The id of an evaluation problem whose question the text gives away; None if there is none."""
        normal = normal_text(text)
        told = words(normal)
        found = self._words.found(told, self._rule.share)
        if self._signs.own:
            found |= self._signs.found(signs(normal), self._rule.share)
        found |= self._near(told)
        return min(found | ({self._whole[normal]} if normal in self._whole else set()), default=None)

    def _near(self, told: list[str]) -> set[str]:
        """The questions that the words nearly repeat. One with little of its own is repeated if all of that and enough of its template are there."""
        share = self._rule.near
        if share is None or not (near := self._short.found(told, share)):
            return set()
        numbers, short, complete = _numbers(told), set(_grams(told, SHORT)), self._short.found(told, 1.0)
        enough = {name for name in near if self._short.own[name] >= FEWEST}
        for name in complete - enough:
            every = set(_grams(self._told[name], SHORT))
            if self._short.own[name] >= SHORT and len(self._told[name]) >= self._rule.n and len(every & short) >= share * len(every):
                enough.add(name)
        return {name for name in enough if _repeats(numbers, _numbers(self._told[name]))}

    def clean_problems(self, problems: Sequence[Problem]) -> list[Problem]:
        """The problems whose question gives away no evaluation question."""
        return [problem for problem in problems if self.given_away(problem.question) is None]

    def clean_rows(self, rows: Sequence[AcceptedTrace]) -> list[AcceptedTrace]:
        """The rows whose question and completion give away no evaluation question.

        Exemplars and system prompts are not checked here: `selfimprove check` refuses exemplars that ask an evaluation question.
        """
        return [row for row in rows if self.given_away(row.messages[-1]["content"]) is None and self.given_away(row.completion) is None]


class _Grams:
    """The questions by their own n-grams. Each n-gram leads to fewer questions than make a template, so a look-up takes time linear in the text."""

    def __init__(self, rule: Contamination, n: int, questions: Mapping[str, list[str]], members: Collection[str]) -> None:
        """Index the members; what is a template is seen in all questions."""
        shared: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        for name, tokens in questions.items():
            for gram in set(_grams(tokens, min(n, len(tokens)))):
                shared[gram].append(name)
        self._n = n
        few = {gram: [name for name in names if name in members] for gram, names in shared.items() if len(names) < rule.template}
        self._questions = {gram: names for gram, names in few.items() if names}
        self._lengths = {len(gram) for gram in self._questions}
        self.own = Counter(name for names in self._questions.values() for name in names)
        """Number of own n-grams, by question; a question without any is left out."""
        grams = {name: set(_grams(questions[name], min(n, len(questions[name])))) for name in self.own if self.own[name] < 2 * n}
        self._all = {name: its for name, its in grams.items() if n > SHORT and 2 * self.own[name] < len(its)}
        """All n-grams of a question that is mostly template: a share of the few others would not tell it from its siblings."""

    def found(self, tokens: list[str], share: float) -> set[str]:
        """The questions of whose own n-grams the text has this share."""
        counts: Counter[str] = Counter()
        grams: set[tuple[str, ...]] = set()
        for length in self._lengths:
            present = set(_grams(tokens, length))
            seen = present & self._questions.keys()
            if seen:
                grams |= present
            if length < self._n:
                seen -= set(_continued(tokens, length, seen))
            counts.update(name for gram in seen for name in self._questions[gram])
        return {name for name, count in counts.items() if count >= share * self.own[name] and self._all.get(name, set()) <= grams}


def _grams(tokens: list[str], length: int) -> Iterator[tuple[str, ...]]:
    return zip(*(tokens[start:] for start in range(length)), strict=False) if length else iter(())


def _continued(tokens: list[str], length: int, grams: set[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Those that stand in this text only as part of a longer calculation: `what is 3 + 2` in `what is 3 + 2 + 5`."""
    whole = {
        gram
        for start, gram in enumerate(_grams(tokens, length))
        if gram in grams and not CONTINUES & {*tokens[max(0, start - 1) : start], *tokens[start + length : start + length + 1]}
    }
    return iter(grams - whole)


def _numbers(tokens: Iterable[str]) -> Counter[str]:
    return Counter(token for token in tokens if token[0].isdigit() or token in OPERATORS)


def _repeats(numbers: Counter[str], wanted: Counter[str]) -> bool:
    return (numbers & wanted).total() >= NUMBERS * wanted.total()
