"""Marks the reasoning behaviour of each thought: plan, confirmation, reflection, revision, conclusion or step."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from selfimprove.thinking.thoughts import LEAD, SENTENCE_END, WAIT


class Behaviour(StrEnum):
    """A reasoning behaviour."""

    PLAN = "plan"
    """States the task or what to do: "Okay, so I need to…"."""
    CONFIRMATION = "confirmation"
    """Agrees with a result and continues: "Right, …"."""
    REFLECTION = "reflection"
    """Examines a result: "Is that…? Yeah", "Let me check"."""
    REVISION = "revision"
    """Rejects earlier thoughts or tries another way: "Wait", "But wait", "Alternatively"."""
    CONCLUSION = "conclusion"
    """States the answer: "So the answer is…"."""
    STEP = "step"
    """All other thoughts: the work itself."""


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


@dataclass(frozen=True, config={"extra": "forbid"})
class Cue:
    """Words that show a behaviour."""

    behaviour: Behaviour
    pattern: Annotated[str, AfterValidator(_compiles)]
    """A regular expression, matched in any case, with `’` read as `'`. It sees at most `LONGEST` characters at a time, which bounds backtracking."""
    where: Literal["sentence", "thought", "anywhere", "last"] = "sentence"
    """`sentence`: a sentence begins with it, after words like "So," and "Okay,"; `thought`: the first sentence of a thought does; `anywhere`: a
    sentence contains it; `last`: a sentence of the trace's last thought begins with it, without words before."""


LONGEST = 300
"""Number of characters of a sentence, from its beginning, that are searched for cues."""
OPENERS = re.compile(
    r"(?:(?:so|therefore|thus|hence|then|and|now|okay|ok|alright|all right|well|but|or|ah|oh|h++m++|um++)(?:,|\.\.\.|…|\.|, so)? )*+", re.IGNORECASE
)
"""Words that may precede a cue at the beginning of a sentence."""

MARKUP = " \t-*•_>#"
"""Characters of lists and emphasis around a sentence."""

_WILL = r"(?:let me|let's|let us|i'll|i will|i should|i'd better|i want to|i need to|we should|we can|i can)"
_IS = r"(?:is|are|was|does|do|did|can|could|should|would|isn't|doesn't|didn't|have|am)"
_RIGHT = r"(?:right|correct|true|plausible|reasonable|consistent|valid|sense)"
_CHECK = (
    r"(?:double[- ]?check|re-?check|check|verify|confirm|test|validate|re-?read|re-?evaluate|make sure|be sure|sanity[- ]check|trace through|read)"
)
_THAT = r"(?:that|this|it|which|everything|both|they)"
_SUBJECT = r"(?:problem|question|task|goal|aim|plan|idea|strategy|approach|first step|exercise)"


def _cues(behaviour: Behaviour, *patterns: str, where: Literal["sentence", "thought", "anywhere", "last"] = "sentence") -> tuple[Cue, ...]:
    return tuple(Cue(behaviour, pattern, where) for pattern in patterns)


CUES = (
    *_cues(
        Behaviour.REVISION,
        LEAD + WAIT,
        r"alternatively\b|hold on[,.!…—–-]|actually[,.…]|on second thoughts?\b|scratch that|oops|strike that",
        r"no[,.…—] ?(?:no|that|this|it|wait|not|i)\b",
        r"(?:that|this|it)(?:'s| is| was| seems| looks) (?:wrong|incorrect|not (?:right|correct|true|possible)|impossible)",
        r"(?:that|this|it) (?:can't|cannot|couldn't|won't) (?:be |seem |look |quite )*+(?:right|correct|true|work|possible)",
        r"(?:that|this|it) (?:doesn't|does not|didn't|isn't|is not|wasn't) (?:be |seem |look |quite )*+(?:right|correct|true|possible)",
        r"(?:that|this|it) (?:doesn't|does not|didn't) (?:work|make sense|add up|match|fit|come out|agree)",
        r"(?:another|a different) (?:way|approach|method|idea|possibility)",
        rf"(?:{_WILL}|maybe i|perhaps i|maybe we|i could) (?:\w+ )?(?:reconsider|rethink|re-?do|start over|start again|go back|correct)",
        rf"(?:{_WILL}|maybe i|perhaps i|maybe we|i could) (?:\w+ )?(?:try|use|take|consider|think of) (?:a different|another|a new|something else)",
    ),
    *_cues(
        Behaviour.REVISION,
        r"\bi(?:'ve| have| must have| think i|'m afraid i)? (?:misread|misunderst\w+|miscalculated|miscounted|overlooked|mixed up)",
        r"\bi(?:'ve| have| must have)? (?:made|make) an? (?:\w+ )?(?:mistake|error)|\bi (?:forgot|was wrong|got that wrong)",
        where="anywhere",
    ),
    *_cues(
        Behaviour.REFLECTION,
        rf"{_WILL} (?:just |also |quickly |first |now |at least )*+{_CHECK}",
        r"(?:just )?to (?:be (?:sure|safe|certain)|double[- ]?check|verify|confirm|make sure)\b|(?:as a|quick|sanity) (?:\w+ )?check\b",
        r"(?:(?:double-|re-?)?checking|verifying|verification|check)(?: \w+| with| by)?(?:[ ,:]|$)",
        rf"{_IS} (?:that|this|it|these|those|they|i|my|the (?:answer|result))\b[^!?]{{0,200}}\?",
        rf"{_IS} [^!?]{{1,200}} {_RIGHT}\?",
    ),
    *_cues(Behaviour.CONCLUSION, r"\\boxed\{|\bfinal answer\b|\bmy (?:final )?answer:", where="anywhere"),
    *_cues(
        Behaviour.CONCLUSION,
        r"(?:(?:that|this) means |we get that |in short, )?(?:the|my|our) (?:\w+ )?(?:answer|solution|result)(?: \w+){0,3}? "
        r"(?:is|are|should be|must be|would be|will be|comes? to)\b",
        r"(?:final )?(?:answer|result|solution):",
        r"(?:in conclusion|to conclude|in summary|to summarize|to sum up|putting (?:it|this|that|everything) (?:all )?together|all in all)\b",
    ),
    *_cues(Behaviour.CONCLUSION, r"(?:so|therefore|thus|hence|consequently|altogether|in total|overall)\b", where="last"),
    *_cues(
        Behaviour.PLAN,
        r"(?:first,? |right,? )?(?:i|we)(?:'m| am| are|'re)? (?:need to|have to|must|should first|first need|going to|want to|trying to)\b",
        r"(?:first,? )?(?:i|we)(?:'m| am| are|'re| have)? (?:being |been )?(?:asked|given)\b",
        where="thought",
    ),
    *_cues(
        Behaviour.PLAN,
        r"(?:first,? )?(?:let's|let me|let us) (?:first |try to |now )*+see(?: what| how| if|[.,])",
        r"(?:first,? )?(?:let's|let me|let us|i'll|we'll|i will|i'd like to) (?:first |try to |now )*+"
        r"(?:start|begin|break|think|figure|consider|outline|plan|work out|go through|look at|approach|understand|set up|organi[sz]e)",
        rf"(?:the|my|our) (?:\w+ )?{_SUBJECT} (?:is (?:to|how|what|whether|which|about|asking)|asks|here is|would be|will be|wants)\b",
        r"to (?:solve|figure|answer|approach|tackle|work|find|do|get)\b[^.!?,]{0,60}, (?:i|we|let|one)\b",
        r"first(?:ly)?,? (?:of all, )?(?:i|we|let)\b|i should (?:first|start|begin)",
    ),
    *_cues(
        Behaviour.CONFIRMATION,
        r"(?:right|yes|yeah|yep|yup|exactly|perfect|great|good|nice|excellent|indeed|correct|sure|of course)(?:[,.!…—:]|$)",
        rf"{_THAT}(?: also| indeed| really| all)? (?:makes? sense|checks? out|works?\b(?! out)|match(?:es)?|agrees?)",
        rf"{_THAT}(?: also| indeed| really| all)? (?:fits?|holds?|(?:seems?|looks?) (?:right|correct|fine|good))\b",
        rf"{_THAT}(?:'s| is| are)(?: also| indeed| all)? (?:correct|right|consistent|what i expected)\b",
    ),
)
"""The default cues. If a sentence shows several, the first in this order counts."""

REVISIONS = (
    "Wait, that is not right.",
    "Wait, I made a mistake.",
    "Wait, let me do that again.",
    "Hold on, that is wrong.",
    "No, that is not right.",
    "That can't be right. Let me start over.",
)
"""Thoughts that reject the thoughts before them: by the default cues, each is a revision."""
CHECKS = (
    "Let me double-check.",
    "Let me check that.",
    "To be sure, let me work it out again.",
    "Is that right?",
    "Wait, let me check that.",
    "Wait, is that right?",
)
"""Thoughts that examine the result before them. Those that begin with "Wait" keep this word from meaning that an error follows; the cues take them
for revisions, the others for reflections."""
AGREEMENTS = ("That checks out.", "Yes, it is the same.", "Right, that agrees.", "Good, that is correct.")
"""Thoughts that a check ends with: by the default cues, each is a confirmation."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Behaviours:
    """A table of cues. Your own may extend the default: `Behaviours(cues=(Cue(Behaviour.REVISION, "scrap that"), *CUES))`."""

    cues: tuple[Cue, ...] = CUES
    """Cues in order of priority: the first that a sentence shows gives its behaviour."""

    def mark(self, thoughts: Sequence[str]) -> list[Behaviour]:
        """The behaviour of each thought of a trace, given their texts in order: that of its first sentence with a cue, or else a step.

        Only the last thought depends on its position, so the behaviours of complete thoughts stay when a trace grows.
        """
        return [self._behaviour(text, number == len(thoughts)) for number, text in enumerate(thoughts, start=1)]

    def _behaviour(self, thought: str, last: bool) -> Behaviour:
        for number, sentence in enumerate(_sentences(thought.strip().replace("’", "'"))):
            opened = OPENERS.match(sentence)
            begin = opened.end() if opened else 0
            for cue in self.cues:
                if (cue.where == "last" and not last) or (cue.where == "thought" and number):
                    continue
                read = _compiled(cue.pattern)
                if read.search(sentence) if cue.where == "anywhere" else read.match(sentence, 0 if cue.where == "last" else begin):
                    return cue.behaviour
        return Behaviour.STEP


_compiled = cache(lambda pattern: re.compile(pattern, re.IGNORECASE))


def _sentences(text: str) -> Iterator[str]:
    """The beginnings of its sentences, each followed by a line end. A new line begins a sentence too."""
    for line in text.splitlines():
        start = 0
        for end in SENTENCE_END.finditer(line):
            yield line[start : min(end.end(), start + LONGEST)].strip(MARKUP) + "\n"
            start = end.end()
        yield line[start : start + LONGEST].strip(MARKUP) + "\n"
