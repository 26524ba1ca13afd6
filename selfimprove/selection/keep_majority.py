"""Self-consistency in place of a reference answer: the answer that most samples of a problem agree on is taken for right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.records import AnnotatedTrace, Message, Selection
from selfimprove.selection.keep_correct import KeepCorrect


@dataclass(frozen=True, config={"extra": "forbid"})
class KeepMajority:
    """Accepts the traces whose answer is that of the majority.

    Self-consistency (Wang et al. 2023) as a source of training data, as in "Large language models can self-improve" (Huang et al. 2022). No reference
    answer is looked at, so that problems without one can be learnt from. Where there is one, the report tells the false acceptance: which share of
    the accepted traces is wrong by it.
    """

    needs_reference = False
    """Problems to learn from may have no answer."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """At least so much of a problem's samples have to give the answer; else all are dropped as `no majority`."""
    votes: PositiveInt = 2
    """And at least so many samples."""
    form: KeepCorrect = KeepCorrect()
    """What else is asked of a trace, and which are kept where there are too many; its verdict does not count."""

    def select(self, judged: Iterable[AnnotatedTrace], prompts: Mapping[str, tuple[Message, ...]], generation: int) -> Selection:
        """Accepted traces in the order of their ids, and counted drops: `minority` is for other answers than that of the majority."""
        of_problem: defaultdict[str, list[AnnotatedTrace]] = defaultdict(list)
        for item in judged:
            of_problem[item.trace.problem_id].append(item)
        drops: Counter[str] = Counter()
        candidates, agreement = [], {}
        for problem, items in of_problem.items():
            answer, count = majority(items)
            agreement[problem] = count / len(items)
            decided = count >= self.votes and agreement[problem] >= self.share
            for item in items:
                reason = ("no majority" if not decided else "minority" if folded(item) != answer else None) or self.form.bad_form(item)
                if reason is None:
                    candidates.append(self.form.candidate(item, prompts[problem], generation))
                else:
                    drops[reason] += 1
        kept, left = self.form.caps.keep(candidates, agreement)
        return Selection(tuple(kept), dict(drops + Counter(left)))


def majority(items: Iterable[AnnotatedTrace]) -> tuple[str | None, int]:
    """The most frequent answer and how many samples give it; the earliest wins a tie, and a trace without an answer has no vote."""
    votes = Counter(answer for item in items if (answer := folded(item)) is not None)
    return votes.most_common(1)[0] if votes else (None, 0)


def folded(item: AnnotatedTrace) -> str | None:
    """The answer without differences of case and white space."""
    return None if item.verdict.answer is None else " ".join(item.verdict.answer.split()).casefold()
