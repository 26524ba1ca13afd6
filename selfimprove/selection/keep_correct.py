"""Rejection sampling: correct, well-formed traces are accepted; every other trace is dropped for a counted reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.protocols import Selector
from selfimprove.records import AcceptedTrace, AnnotatedTrace, Message, Outcome, Selection, Trace, Verdict
from selfimprove.records.numbers import Float, NonNegativeInt, PositiveInt
from selfimprove.selection.caps import Caps, EligibleRow
from selfimprove.selection.equations import false_equations
from selfimprove.thinking.thoughts import Thought, split, switches
from selfimprove.thinking.traces import parsed
from selfimprove.thinking.under_thinking import first_stable


@dataclass(frozen=True, config={"extra": "forbid"})
class KeepCorrect(Selector):
    """Accepts a trace with a correct answer that thinks once, in one closed block."""

    max_tokens: PositiveInt | None = None
    """Maximum tokens of an output; longer ones are dropped as `too long`. None: no limit."""
    min_tokens: NonNegativeInt = 0
    """Minimum tokens of an output; shorter ones are dropped as `too short`."""
    min_thoughts: NonNegativeInt = 0
    """Minimum thoughts of a trace; one with fewer has left something out and is dropped as `too few thoughts`."""
    true_equations: bool = False
    """Whether to drop a trace whose thinking states a false equation of plain numbers, such as `4 - 7 = 3`: its answer is right by luck."""
    lowest_step: Annotated[Float, Field(ge=0, le=1)] | None = None
    """Minimum reward of every thought; a trace below it is dropped as `bad step`: its answer is right by luck. Needs `Workflow.process_reward`.
    None: rewards are ignored."""
    lowest_score: Annotated[Float, Field(gt=0, le=1)] | None = None
    """Minimum score of an answer, for verifiers that give partial credit: with 0.5, a wrong answer that scores 0.5 is accepted too. None: only
    correct answers."""
    cut: bool = False
    """Whether to shorten probed traces: leave out the thoughts after the first from which on every probe is correct."""
    caps: Caps = Caps()
    """Limits on the accepted traces: near-duplicates, traces per problem, difficulty."""

    @property
    def needs_step_rewards(self) -> bool:
        """Whether `lowest_step` is set."""
        return self.lowest_step is not None

    def select(self, judged: Iterable[AnnotatedTrace], prompts: Mapping[str, tuple[Message, ...]], generation: int) -> Selection:
        """Accepted traces, ordered by id, each with the prompt that training shows."""
        eligible: list[EligibleRow] = []
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
                eligible.append(self.eligible_row(item, prompts[problem], generation))
        kept, left = self.caps.keep(eligible, {problem: right[problem] / count for problem, count in samples.items()})
        return Selection(tuple(kept), dict(drops + Counter(left)))

    def eligible_row(self, item: AnnotatedTrace, messages: tuple[Message, ...], generation: int) -> EligibleRow:
        """The row to train on, with what the caps consider."""
        thoughts = _thoughts(parsed(item.trace).thinking)
        return EligibleRow(self._row(item, messages, generation), item.trace.output_tokens, switches(thoughts))

    def _row(self, item: AnnotatedTrace, messages: tuple[Message, ...], generation: int) -> AcceptedTrace:
        trace, stable = item.trace, first_stable(item.probes)
        # Tokens written by the decoding loop carry no loss, so their positions must not change.
        if self.cut and stable and stable.thought < item.probes[-1].thought and not any(begin < stable.tokens for begin, _ in trace.forced):
            return AcceptedTrace(trace.id, trace.problem_id, messages, _shortened(trace, stable.thought), "shortened", generation)
        return AcceptedTrace(trace.id, trace.problem_id, messages, trace.text, "sampled", generation, trace.output_token_ids, trace.forced)

    def reason_to_drop(self, judged: AnnotatedTrace) -> str | None:
        """Why this trace is dropped, in a word that becomes a metric; None to keep it."""
        if judged.trace.finish_reason == "hopeless":
            return "hopeless"
        return self.bad_form(judged) if self._answers_well(judged.verdict) else judged.verdict.outcome.value

    def _answers_well(self, verdict: Verdict) -> bool:
        return verdict.outcome is Outcome.CORRECT or (self.lowest_score is not None and verdict.score >= self.lowest_score)

    def bad_form(self, judged: AnnotatedTrace) -> str | None:
        """What is wrong with the form of a trace, whatever its answer; None if nothing is."""
        if judged.trace.finish_reason != "stop":
            return "unfinished"
        parts = parsed(judged.trace)
        if parts.flags:
            return sorted(parts.flags)[0]
        if self.max_tokens is not None and judged.trace.output_tokens > self.max_tokens:
            return "too long"
        if judged.trace.output_tokens < self.min_tokens:
            return "too short"
        if self.min_thoughts and len(_thoughts(parts.thinking)) < self.min_thoughts:
            return "too few thoughts"
        if self.true_equations and next(false_equations(parts.thinking or ""), None):
            return "false equation"
        if self.lowest_step is not None and min(judged.rewards, default=0.0) < self.lowest_step:
            return "bad step"
        return None


def _thoughts(thinking: str | None) -> list[Thought]:
    return [thought for thought in split(thinking or "") if thought.text.strip()]


def _shortened(trace: Trace, last: int) -> str:
    """The text without the thoughts after this one."""
    parts = parsed(trace)
    thinking = parts.thinking or ""
    kept = thinking[: _thoughts(thinking)[last].end].rstrip() + thinking[len(thinking.rstrip()) :]
    return parts.before + parts.opening + kept + parts.closing + parts.after
