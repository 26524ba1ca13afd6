"""Rejection sampling: what is right and well formed is accepted, everything else is dropped for a counted reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.records import AcceptedTrace, AnnotatedTrace, Message, Outcome, Selection, Trace
from selfimprove.selection.caps import Candidate, Caps
from selfimprove.selection.equations import false_equations
from selfimprove.thinking.thoughts import split, switches
from selfimprove.thinking.traces import parsed
from selfimprove.thinking.under_thinking import first_stable


@dataclass(frozen=True, config={"extra": "forbid"})
class KeepCorrect:
    """Accepts a trace whose answer verifies and that thinks once, in one closed block."""

    max_tokens: PositiveInt | None = None
    """Longer outputs are dropped as `too long`; None keeps every length."""
    min_tokens: NonNegativeInt = 0
    """Shorter outputs are dropped as `too short`."""
    true_equations: bool = False
    """Drop a trace whose thinking states an equation of plain numbers that is false, as in `4 - 7 = 3`: its answer is right by luck."""
    lowest_step: Annotated[float, Field(ge=0, le=1)] | None = None
    """Drop a trace with a thought whose reward is lower as `bad step`: its answer is right by luck, or in spite of it. Takes
    `Workflow.process_reward`; None looks at no reward."""
    cut: bool = False
    """Of a trace that was probed, leave out the thoughts after the first from which on every probe was right."""
    caps: Caps = Caps()
    """Which of them are kept where there are too many or they are too much alike."""

    def select(self, judged: Iterable[AnnotatedTrace], prompts: Mapping[str, tuple[Message, ...]], generation: int) -> Selection:
        """Accepted traces in the order of their ids, each on the prompt that training shows."""
        candidates: list[Candidate] = []
        drops: Counter[str] = Counter()
        right: Counter[str] = Counter()
        samples: Counter[str] = Counter()
        for item in judged:
            problem = item.trace.problem_id
            samples[problem] += 1
            right[problem] += item.verdict.outcome is Outcome.CORRECT
            reason = self.reason_to_drop(item)
            if reason is not None:
                drops[reason] += 1
            else:
                candidates.append(self.candidate(item, prompts[problem], generation))
        kept, left = self.caps.keep(candidates, {problem: right[problem] / count for problem, count in samples.items()})
        return Selection(tuple(kept), dict(drops + Counter(left)))

    def candidate(self, item: AnnotatedTrace, messages: tuple[Message, ...], generation: int) -> Candidate:
        """The row that would be trained on."""
        thoughts = [thought for thought in split(parsed(item.trace).thinking or "") if thought.text.strip()]
        return Candidate(self._row(item, messages, generation), item.trace.output_tokens, switches(thoughts))

    def _row(self, item: AnnotatedTrace, messages: tuple[Message, ...], generation: int) -> AcceptedTrace:
        trace, stable = item.trace, first_stable(item.probes)
        # What the decoding loop wrote has to keep its place among the tokens, as no loss is taken on it.
        if self.cut and stable and stable.thought < item.probes[-1].thought and not any(begin < stable.tokens for begin, _ in trace.forced):
            return AcceptedTrace(trace.id, trace.problem_id, messages, _shortened(trace, stable.thought), "shortened", generation)
        return AcceptedTrace(trace.id, trace.problem_id, messages, trace.text, "sampled", generation, trace.output_token_ids, trace.forced)

    def reason_to_drop(self, judged: AnnotatedTrace) -> str | None:
        """Why this trace is not trained on, in a word that becomes a metric; None to keep it."""
        outcome = judged.verdict.outcome
        if judged.trace.finish_reason == "hopeless":
            return "hopeless"
        return self.bad_form(judged) if outcome is Outcome.CORRECT else outcome.value

    def bad_form(self, judged: AnnotatedTrace) -> str | None:
        """What is wrong with a trace, whatever its answer; None where nothing is."""
        if judged.trace.finish_reason != "stop":
            return "unfinished"
        parts = parsed(judged.trace)
        if parts.flags:
            return sorted(parts.flags)[0]
        if self.max_tokens is not None and judged.trace.output_tokens > self.max_tokens:
            return "too long"
        if judged.trace.output_tokens < self.min_tokens:
            return "too short"
        if self.true_equations and next(false_equations(parts.thinking or ""), None):
            return "false equation"
        if self.lowest_step is not None and min(judged.rewards, default=0.0) < self.lowest_step:
            return "bad step"
        return None


def _shortened(trace: Trace, last: int) -> str:
    """The text without the thoughts after the one of this number."""
    parts = parsed(trace)
    thinking = parts.thinking or ""
    thoughts = [thought for thought in split(thinking) if thought.text.strip()]
    kept = thinking[: thoughts[last].end].rstrip() + thinking[len(thinking.rstrip()) :]
    return parts.before + parts.opening + kept + parts.closing + parts.after
