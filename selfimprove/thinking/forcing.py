"""Budget forcing, and stops after a thought, as a function of the tokens written so far: which token must come next, and which may not come yet."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property, partial
from typing import Any

from selfimprove.records.budgets import Budget
from selfimprove.records.delimiters import Delimiters
from selfimprove.thinking.thoughts import Thought, complete, split


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What forcing has to know of a tokenizer."""

    texts: Sequence[str]
    """What each token reads as in the middle of a text, by id."""
    encode: Callable[[str], list[int]]
    """Ids of a text, without special tokens around it."""
    ends: tuple[int, ...]
    """Ids that end the turn; the first is written where a turn is ended."""

    def beginning(self, words: Sequence[str]) -> tuple[int, ...]:
        """The tokens that write one of these words, whatever its case and the white space around it; the first token of a word that is no token."""
        wanted = {word.casefold() for word in words}
        whole = {token: text.strip().casefold() for token, text in enumerate(self.texts) if len(text) < 64}
        found = {token for token, text in whole.items() if text in wanted}
        parts = [word for word in words if word.casefold() not in {whole[token] for token in found}]
        return tuple(sorted(found | {self.encode(lead + word)[0] for word in parts for lead in ("", " ") if self.encode(lead + word)}))

    @classmethod
    def of(cls, tokenizer: Any, ends: Sequence[int]) -> Vocabulary:
        """That of a transformers tokenizer."""
        # After another token, as some tokenizers leave out a space at the beginning of a text.
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
        """The end delimiter."""
        return self.vocabulary.encode(self.delimiters.end)

    @cached_property
    def continuations(self) -> list[list[int]]:
        """Each continuation."""
        return [self.vocabulary.encode(text) for text in self.budget.continuations]

    @cached_property
    def closes(self) -> bool:
        """A turn does not end within the thinking, which would leave it without an answer: so under every limit, and not without any."""
        return replace(self.budget, continuations=("Wait",)) != Budget()

    @cached_property
    def head(self) -> int:
        """Length of the end delimiter's first token: whoever has written so much of it is taken to be ending."""
        return max(1, min(len(self.vocabulary.texts[self.end[0]]), len(self.delimiters.end)))

    def tail(self, text: str, least: int = 1) -> str:
        """The longest beginning of the end delimiter that a text ends with, short of all of it; nothing where that is shorter than `least`."""
        end = self.delimiters.end
        return next((end[:length] for length in range(len(end) - 1, least - 1, -1) if text.endswith(end[:length])), "")

    def held(self, tail: str) -> tuple[int, ...]:
        """The tokens that may not follow while the end is held back: what ends the turn, and what completes the end delimiter or takes it as far as
        its first token does, where `tail` of it stands there already."""
        if tail not in self._held:
            end = self.delimiters.end
            # A look at its signs tells most tokens apart from those that could.
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
    """One output as far as it is written. All here follows from what was asked and the tokens read, so that it can be told again afterwards."""

    def __init__(self, forcing: Forcing, opened: bool, begun: str = "", stop_after: int | None = None) -> None:
        """`opened` says that what precedes the output has opened the thinking and not ended it.

        `begun` is the thinking that precedes it, or where none is opened the text; its tokens and its complete thoughts do not count. After
        `stop_after` more complete thoughts, the turn is ended within the thinking.
        """
        self._forcing = forcing
        self._stop_after = stop_after
        self._phase = _Phase.THINKING if opened else _Phase.BEFORE
        self._queue: list[int] = []
        """Tokens that must come next."""
        self._text = begun
        """Of this phase."""
        self._starts: list[int] = []
        """Where each token of thinking begins in the text."""
        self._thought = 0
        """Where the last thought begins in the text, as far as it was looked at."""
        self._thoughts_before = 0
        """Thoughts before that one."""
        self._answer_tokens = 0
        self._closing = False
        """The end is being brought about."""
        self.position = 0
        """How many tokens were read."""
        self.forced: list[int] = []
        """Positions of the tokens that were not the model's own: those after an end that was brought about, and continuations. A continuation
        whose first token the model chose by itself while the end was held back counts as one."""
        self.violations: list[int] = []
        """Positions where a token was read that should have been another one, or held back."""
        self.thinking_tokens = 0
        """Tokens of thinking, those of the delimiters left out."""
        self.extensions = 0
        """How many continuations were begun."""
        self._stopping = False
        done = self._complete_thoughts() if opened else 0
        self._thoughts_before -= done
        if not opened and forcing.budget.max_tokens == 0:
            self._queue = forcing.vocabulary.encode(forcing.delimiters.begin)
        self._plan()

    @property
    def next(self) -> int | None:
        """The token that must come next; None where the model chooses."""
        return self._queue[0] if self._queue else None

    @property
    def target(self) -> int | None:
        """What takes the place of an end: of the thinking, the first token of a continuation; of the turn within the thinking, the first that is
        left to write of the end delimiter; None where nothing is held back."""
        if self._queue or self._phase is not _Phase.THINKING:
            return None
        if not self._early:
            return self._ending()[0] if self._forcing.closes else None
        continuations = self._forcing.continuations
        return continuations[self.extensions % len(continuations)][0]

    @property
    def held(self) -> tuple[int, ...]:
        """The tokens whose probability goes to `target`."""
        return self._forcing.held(self._forcing.tail(self._text)) if self._early else self._forcing.vocabulary.ends

    @property
    def _early(self) -> bool:
        budget = self._forcing.budget
        early = self.thinking_tokens < budget.min_tokens or self.extensions < budget.extensions
        return early or bool(budget.min_thoughts and self.thoughts < budget.min_thoughts)

    @property
    def thoughts(self) -> int:
        """How many thoughts have been begun; a continuation begins one."""
        last = self._last_thought()
        return self._thoughts_before + _count(last)

    @property
    def stopped(self) -> bool:
        """The turn was ended because it had as many complete thoughts as were asked for."""
        return self._stopping and not self._queue

    @property
    def thought_tokens(self) -> int | None:
        """Tokens of the thought that is being written, so far; None before and after the thinking, and where the next token is not chosen."""
        if self._queue or self._phase is not _Phase.THINKING:
            return None
        self._last_thought()
        return len(self._starts) - bisect_left(self._starts, self._thought)

    def read(self, token: int) -> None:
        """Take the next token of the output."""
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

    def _continue(self, position: int) -> None:
        continuations = self._forcing.continuations
        self._queue = continuations[self.extensions % len(continuations)][1:]
        self.forced.append(position)
        self.extensions += 1
        last = self._last_thought()
        self._thoughts_before += _count(last)
        self._thought = len(self._text)

    def _add(self, token: int, due: bool) -> None:
        """Its text, to the part of the output that it belongs to."""
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
        """What the limits ask for now."""
        budget = self._forcing.budget
        if self._phase is _Phase.THINKING and not self._closing:
            # Those of an end that has begun count too: whatever came next could make thinking of them.
            full = budget.max_tokens is not None and len(self._starts) >= budget.max_tokens
            if full or (budget.max_thoughts and self._complete_thoughts() >= budget.max_thoughts):
                self._queue, self._closing = self._ending(), True
            elif self._stop_after is not None and self._complete_thoughts() >= self._stop_after:
                self._queue, self._closing, self._stopping = [self._forcing.vocabulary.ends[0]], True, True
        elif self._phase is _Phase.AFTER and not self._queue and budget.answer_tokens and self._answer_tokens >= budget.answer_tokens:
            self._queue = [self._forcing.vocabulary.ends[0]]

    def _begun(self) -> str:
        """What is written of the end delimiter."""
        return self._forcing.tail(self._text, self._forcing.head)

    def _ending(self) -> list[int]:
        """What is left to write of the end delimiter, and what comes after it."""
        end, texts, begun = self._forcing.end, self._forcing.vocabulary.texts, self._begun()
        written = next((count for count in range(len(end)) if "".join(texts[token] for token in end[:count]) == begun), None)
        rest = self._forcing.vocabulary.encode(self._forcing.delimiters.end[len(begun) :]) if written is None else end[written:]
        return rest + (self._forcing.vocabulary.encode(self._forcing.budget.final) if self._forcing.budget.final else [])

    def _complete_thoughts(self) -> int:
        # Those before the last are counted while it is looked for.
        last = self._last_thought()
        return self._thoughts_before + sum(bool(thought.text.strip()) for thought in complete(last))

    def _last_thought(self) -> str:
        """The text of the last thought; those before it are complete and are not looked at again."""
        *complete, last = split(self._text[self._thought :]) or (Thought("", 0),)
        self._thoughts_before += sum(bool(thought.text.strip()) for thought in complete)
        self._thought += last.start
        return self._text[self._thought :]


def _count(text: str) -> int:
    return sum(bool(thought.text.strip()) for thought in split(text))
