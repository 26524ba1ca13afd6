"""Budget forcing and stops after a thought, as a function of the tokens so far: which token must come next, and which must not come yet."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property, partial
from typing import Any

from selfimprove.records.budgets import Budget
from selfimprove.records.delimiters import Delimiters
from selfimprove.thinking.thoughts import Thought, complete, split


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What forcing needs from a tokenizer."""

    texts: Sequence[str]
    """The text of each token in the middle of a text, by id."""
    encode: Callable[[str], list[int]]
    """Returns the ids of a text, without special tokens around it."""
    ends: tuple[int, ...]
    """Ids that end the turn; the first one is written to end it."""

    def beginning(self, words: Sequence[str]) -> tuple[int, ...]:
        """Tokens that are one of these words, in any case and with any white space; for a word of several tokens, its first token."""
        wanted = {word.casefold() for word in words}
        whole = {token: text.strip().casefold() for token, text in enumerate(self.texts) if len(text) < 64}
        found = {token for token, text in whole.items() if text in wanted}
        parts = [word for word in words if word.casefold() not in {whole[token] for token in found}]
        return tuple(sorted(found | {self.encode(lead + word)[0] for word in parts for lead in ("", " ") if self.encode(lead + word)}))

    @classmethod
    def of(cls, tokenizer: Any, ends: Sequence[int]) -> Vocabulary:
        """The vocabulary of a transformers tokenizer."""
        # After another token, because some tokenizers drop a space at the beginning of a text.
        before = tokenizer.encode("a", add_special_tokens=False)
        lead = len(tokenizer.decode(before, clean_up_tokenization_spaces=False))
        texts = tokenizer.batch_decode([[*before, token] for token in range(len(tokenizer))], clean_up_tokenization_spaces=False)
        return cls([text[lead:] for text in texts], partial(tokenizer.encode, add_special_tokens=False), tuple(ends))


@dataclass(frozen=True, eq=False)
class Forcing:
    """A budget in the tokens of one vocabulary."""

    budget: Budget
    delimiters: Delimiters
    vocabulary: Vocabulary

    @cached_property
    def end(self) -> list[int]:
        """Tokens of the end delimiter."""
        return self.vocabulary.encode(self.delimiters.end)

    @cached_property
    def continuations(self) -> list[list[int]]:
        """Tokens of each continuation."""
        return [self.vocabulary.encode(text) for text in self.budget.continuations]

    @cached_property
    def closes(self) -> bool:
        """Whether a turn that ends within the thinking is continued to an answer: with any limit, it is."""
        return replace(self.budget, continuations=("Wait",)) != Budget()

    @cached_property
    def head(self) -> int:
        """Length of the end delimiter's first token: a text that ends with so much of the delimiter counts as ending."""
        return max(1, min(len(self.vocabulary.texts[self.end[0]]), len(self.delimiters.end)))

    def tail(self, text: str, least: int = 1) -> str:
        """The longest proper prefix of the end delimiter that the text ends with; empty if it is shorter than `least`."""
        end = self.delimiters.end
        return next((end[:length] for length in range(len(end) - 1, least - 1, -1) if text.endswith(end[:length])), "")

    def held(self, tail: str) -> tuple[int, ...]:
        """The tokens that must not come while the end is held back: those that end the turn, and those that, after `tail`, complete the end delimiter
        or write at least its first token's length."""
        if tail not in self._held:
            end = self.delimiters.end
            # Comparing single characters excludes most tokens.
            found = [
                token
                for token, text in enumerate(self.vocabulary.texts)
                if text and (end[0] in text or (tail and text[0] in end)) and (end in tail + text or self.tail(tail + text, self.head))
            ]
            self._held[tail] = tuple(sorted({*found, *self.vocabulary.ends}))
        return self._held[tail]

    @cached_property
    def _held(self) -> dict[str, tuple[int, ...]]:
        return {}


class _Phase(Enum):
    BEFORE = auto()
    THINKING = auto()
    AFTER = auto()


class Writing:
    """One output so far. Its state follows from the settings and the tokens alone, so that it can be replayed afterwards."""

    def __init__(self, forcing: Forcing, opened: bool, begun: str = "", stop_after: int | None = None) -> None:
        """`opened` says that the text before the output has opened the thinking and not closed it.

        `begun` is the thinking before the output, or the text before it if no thinking is open; its tokens and complete thoughts do not count. After
        `stop_after` more complete thoughts, the turn is ended within the thinking.
        """
        self._forcing = forcing
        self._stop_after = stop_after
        self._phase = _Phase.THINKING if opened else _Phase.BEFORE
        self._queue: list[int] = []
        """Tokens that must come next."""
        self._text = begun
        """Text of this phase."""
        self._starts: list[int] = []
        """First character of each thinking token in the text."""
        self._thought = 0
        """First character of the last thought found so far in the text."""
        self._thoughts_before = 0
        """Number of thoughts before that one."""
        self._answer_tokens = 0
        self._closing = False
        """Whether the end is being forced."""
        self.position = 0
        """Number of tokens read."""
        self.forced: list[int] = []
        """Positions of the tokens that the model did not choose: forced ends and continuations. A continuation whose first token the model chose
        while the end was held back counts too."""
        self.violations: list[int] = []
        """Positions of tokens that should have been another one, or held back."""
        self.thinking_tokens = 0
        """Number of thinking tokens, without delimiters."""
        self.extensions = 0
        """Number of continuations begun."""
        self._stopping = False
        done = self._complete_thoughts() if opened else 0
        self._thoughts_before -= done
        if not opened and forcing.budget.max_tokens == 0:
            self._queue = forcing.vocabulary.encode(forcing.delimiters.begin)
        self._plan()

    @property
    def next(self) -> int | None:
        """The token that must come next; None if the model chooses."""
        return self._queue[0] if self._queue else None

    @property
    def target(self) -> int | None:
        """The token that replaces an end. For an end of the thinking, it is the first token of a continuation; for an end of the turn within the
        thinking, the next token of the end delimiter. None if nothing is held back."""
        if self._queue or self._phase is not _Phase.THINKING:
            return None
        if not self._early:
            return self._ending()[0] if self._forcing.closes else None
        continuations = self._forcing.continuations
        return continuations[self.extensions % len(continuations)][0]

    @property
    def held(self) -> tuple[int, ...]:
        """The tokens whose probability moves to `target`."""
        return self._forcing.held(self._forcing.tail(self._text)) if self._early else self._forcing.vocabulary.ends

    @property
    def _early(self) -> bool:
        budget = self._forcing.budget
        early = self.thinking_tokens < budget.min_tokens or self.extensions < budget.extensions
        return early or bool(budget.min_thoughts and self.thoughts < budget.min_thoughts)

    @property
    def thoughts(self) -> int:
        """Number of thoughts begun; a continuation begins one."""
        last = self._last_thought()
        return self._thoughts_before + _count(last)

    @property
    def stopped(self) -> bool:
        """Whether the turn was ended after the requested number of complete thoughts."""
        return self._stopping and not self._queue

    @property
    def thought_tokens(self) -> int | None:
        """Number of tokens so far in the current thought; None outside the thinking, and if the next token is forced."""
        if self._queue or self._phase is not _Phase.THINKING:
            return None
        self._last_thought()
        return len(self._starts) - bisect_left(self._starts, self._thought)

    def read(self, token: int) -> None:
        """Read the next token of the output."""
        target, due, early = self.target, self.next, self._early
        position, self.position = self.position, self.position + 1
        if due is not None:
            self.forced.append(position)
            self._queue.pop(0)
            if token != due:
                self.violations.append(position)
        elif target is not None:
            if early and token == target:
                self._continue(position)
            elif token in self.held:
                self.violations.append(position)
        self._add(token, due is not None)
        self._plan()

    def ahead(self, tokens: Sequence[int]) -> Writing:
        """The output after these further tokens; this one stays as it is."""
        other = copy(self)
        other._queue, other._starts = self._queue.copy(), self._starts.copy()
        other.forced, other.violations = self.forced.copy(), self.violations.copy()
        for token in tokens:
            other.read(token)
        return other

    def _continue(self, position: int) -> None:
        continuations = self._forcing.continuations
        self._queue = continuations[self.extensions % len(continuations)][1:]
        self.forced.append(position)
        self.extensions += 1
        last = self._last_thought()
        self._thoughts_before += _count(last)
        self._thought = len(self._text)

    def _add(self, token: int, due: bool) -> None:
        """Add a token's text to its part of the output."""
        if self._phase is _Phase.AFTER:
            self._answer_tokens += not due
            return
        delimiters, start = self._forcing.delimiters, len(self._text)
        self._text += self._forcing.vocabulary.texts[token] if token < len(self._forcing.vocabulary.texts) else ""
        if self._phase is _Phase.BEFORE:
            found = self._text.find(delimiters.begin)
            if found < 0:
                return
            self._phase, self._text, start = _Phase.THINKING, self._text[found + len(delimiters.begin) :], 0
        if self._text:
            self._starts.append(start)
        found = self._text.find(delimiters.end)
        if found >= 0:
            self._phase, self._text = _Phase.AFTER, self._text[:found]
        own = len(self._text) - (0 if found >= 0 else len(self._begun()))
        self.thinking_tokens = bisect_left(self._starts, own)

    def _plan(self) -> None:
        """Queue what the limits now require."""
        budget = self._forcing.budget
        if self._phase is _Phase.THINKING and not self._closing:
            # Tokens of an end that has begun count too: the next token could make them thinking.
            full = budget.max_tokens is not None and len(self._starts) >= budget.max_tokens
            if full or (budget.max_thoughts and self._complete_thoughts() >= budget.max_thoughts):
                self._queue, self._closing = self._ending(), True
            elif self._stop_after is not None and self._complete_thoughts() >= self._stop_after:
                self._queue, self._closing, self._stopping = [self._forcing.vocabulary.ends[0]], True, True
        elif self._phase is _Phase.AFTER and not self._queue and budget.answer_tokens and self._answer_tokens >= budget.answer_tokens:
            self._queue = [self._forcing.vocabulary.ends[0]]

    def _begun(self) -> str:
        """The part of the end delimiter that is written."""
        return self._forcing.tail(self._text, self._forcing.head)

    def _ending(self) -> list[int]:
        """The rest of the end delimiter, and the tokens after it."""
        end, texts, begun = self._forcing.end, self._forcing.vocabulary.texts, self._begun()
        written = next((count for count in range(len(end)) if "".join(texts[token] for token in end[:count]) == begun), None)
        rest = self._forcing.vocabulary.encode(self._forcing.delimiters.end[len(begun) :]) if written is None else end[written:]
        return rest + (self._forcing.vocabulary.encode(self._forcing.budget.final) if self._forcing.budget.final else [])

    def _complete_thoughts(self) -> int:
        # Finding the last thought counts those before it.
        last = self._last_thought()
        return self._thoughts_before + sum(bool(thought.text.strip()) for thought in complete(last))

    def _last_thought(self) -> str:
        """The text of the last thought. Those before it are complete and are not split again."""
        *complete, last = split(self._text[self._thought :]) or (Thought("", 0),)
        self._thoughts_before += sum(bool(thought.text.strip()) for thought in complete)
        self._thought += last.start
        return self._text[self._thought :]


def _count(text: str) -> int:
    return sum(bool(thought.text.strip()) for thought in split(text))
