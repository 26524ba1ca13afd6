"""Self-consistency instead of a reference answer: the answer that most samples of a problem give is taken as correct."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.protocols import Selector
from selfimprove.records import AnnotatedTrace, JudgedTrace, Message, Selection
from selfimprove.records.numbers import Float, PositiveInt
from selfimprove.selection.keep_correct import KeepCorrect


@dataclass(frozen=True, config={"extra": "forbid"})
class KeepMajority(Selector):
    """Accepts the traces that give the majority's answer.

    Self-consistency (Wang et al. 2023) as a source of training data, as in "Large language models can self-improve" (Huang et al. 2022). It ignores
    reference answers, so a model can learn from problems without one. For problems with one, the report states the false acceptance: the share of
    accepted traces that are wrong.
    """

    needs_reference = False
    share: Annotated[Float, Field(gt=0, le=1)] = 0.5
    """Minimum share of a problem's samples that give the answer; below it, all are dropped as `no majority`."""
    votes: PositiveInt = 2
    """Minimum number of samples that give the answer."""
    form: KeepCorrect = KeepCorrect()
    """Requirements on a trace apart from its answer, and limits on the accepted traces. Verdicts and scores are ignored."""

    @property
    def needs_step_rewards(self) -> bool:
        """Whether `form` does."""
        return self.form.needs_step_rewards

    @property
    def max_tokens(self) -> int | None:
        """That of `form`."""
        return self.form.max_tokens

    def select(self, judged: Iterable[AnnotatedTrace], prompts: Mapping[str, tuple[Message, ...]], generation: int) -> Selection:
        """Accepted traces, ordered by id, and counted drops; `minority` counts traces with another answer than the majority's."""
        of_problem: defaultdict[str, list[AnnotatedTrace]] = defaultdict(list)
        for item in judged:
            of_problem[item.trace.problem_id].append(item)
        drops: Counter[str] = Counter()
        eligible, agreement = [], {}
        for problem, items in of_problem.items():
            answer, count = majority(items)
            agreement[problem] = count / len(items)
            decided = count >= self.votes and agreement[problem] >= self.share
            for item in items:
                reason = ("no majority" if not decided else "minority" if folded(item) != answer else None) or self.form.bad_form(item)
                if reason is None:
                    eligible.append(self.form.eligible_row(item, prompts[problem], generation))
                else:
                    drops[reason] += 1
        kept, left = self.form.caps.keep(eligible, agreement)
        return Selection(tuple(kept), dict(drops + Counter(left)))


def majority(items: Iterable[JudgedTrace]) -> tuple[str | None, int]:
    """The most frequent answer and its number of samples. The earliest wins a tie; a trace without an answer has no vote."""
    votes = Counter(answer for item in items if (answer := folded(item)) is not None)
    return votes.most_common(1)[0] if votes else (None, 0)


def folded(item: JudgedTrace) -> str | None:
    """The answer, normalized for case and white space."""
    return None if item.verdict.answer is None else " ".join(item.verdict.answer.split()).casefold()
