"""Rejection sampling: what is right and well formed is accepted, everything else is dropped for a counted reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.records import AcceptedTrace, JudgedTrace, Message, Outcome, Selection, Trace
from selfimprove.selection.equations import false_equations
from selfimprove.thinking.thoughts import split, switches
from selfimprove.thinking.traces import parsed
from selfimprove.thinking.under_thinking import first_stable


@dataclass(frozen=True, config={"extra": "forbid"})
class KeepCorrect:
    """Accepts a trace whose answer verifies and that thinks once, in one closed block."""

    max_tokens: PositiveInt | None = None
    """Longer outputs are dropped; None keeps every length."""
    true_equations: bool = False
    """Drop a trace whose thinking states an equation of plain numbers that is false, as in `4 - 7 = 3`: its answer is right by luck."""
    per_problem: PositiveInt | None = None
    """The most accepted traces of one problem in a generation; the others are dropped as `over cap`. None for no cap."""
    prefer: Literal["first", "steady", "short"] = "first"
    """Which traces of a problem come first where the cap chooses: by id, those that switch thoughts least, or those of the fewest tokens."""
    cut: bool = False
    """Of a trace that was probed, leave out the thoughts after the first from which on every probe was right."""

    def select(self, judged: Iterable[JudgedTrace], prompts: Mapping[str, tuple[Message, ...]], generation: int) -> Selection:
        """Accepted traces in the order of their ids, each on the prompt that training shows."""
        accepted: list[tuple[tuple[int, str], AcceptedTrace]] = []
        drops: Counter[str] = Counter()
        for item in judged:
            reason = self.reason_to_drop(item)
            if reason is not None:
                drops[reason] += 1
            else:
                accepted.append(((self._rank(item.trace), item.trace.id), self._row(item, prompts[item.trace.problem_id], generation)))
        kept: list[AcceptedTrace] = []
        of_problem: Counter[str] = Counter()
        for _, row in sorted(accepted, key=lambda ranked: ranked[0]):
            of_problem[row.problem_id] += 1
            if self.per_problem is not None and of_problem[row.problem_id] > self.per_problem:
                drops["over cap"] += 1
            else:
                kept.append(row)
        return Selection(tuple(sorted(kept, key=lambda row: row.trace_id)), dict(drops))

    def _rank(self, trace: Trace) -> int:
        if self.prefer == "steady":
            return switches([thought for thought in split(parsed(trace).thinking or "") if thought.text.strip()])
        return len(trace.output_token_ids) if self.prefer == "short" else 0

    def _row(self, item: JudgedTrace, messages: tuple[Message, ...], generation: int) -> AcceptedTrace:
        trace, stable = item.trace, first_stable(item.probes)
        # What the decoding loop wrote has to keep its place among the tokens, as no loss is taken on it.
        if self.cut and stable and stable.thought < item.probes[-1].thought and not any(begin < stable.tokens for begin, _ in trace.forced):
            return AcceptedTrace(trace.id, trace.problem_id, messages, _shortened(trace, stable.thought), "shortened", generation)
        return AcceptedTrace(trace.id, trace.problem_id, messages, trace.text, "sampled", generation, trace.output_token_ids, trace.forced)

    def reason_to_drop(self, judged: JudgedTrace) -> str | None:
        """Why this trace is not trained on, in a word that becomes a metric; None to keep it."""
        if judged.verdict.outcome is not Outcome.CORRECT:
            return judged.verdict.outcome.value
        if judged.trace.finish_reason != "stop":
            return "unfinished"
        parts = parsed(judged.trace)
        if parts.flags:
            return sorted(parts.flags)[0]
        if self.max_tokens is not None and len(judged.trace.output_token_ids) > self.max_tokens:
            return "too long"
        if self.true_equations and next(false_equations(parts.thinking or ""), None):
            return "false equation"
        return None


def _shortened(trace: Trace, last: int) -> str:
    """The text without the thoughts after the one of this number."""
    parts = parsed(trace)
    thinking = parts.thinking or ""
    thoughts = [thought for thought in split(thinking) if thought.text.strip()]
    kept = thinking[: thoughts[last].end].rstrip() + thinking[len(thinking.rstrip()) :]
    return parts.before + parts.opening + kept + parts.closing + parts.after
