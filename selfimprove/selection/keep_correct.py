"""Rejection sampling: what is right and well formed is accepted, everything else is dropped for a counted reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.records import AcceptedTrace, JudgedTrace, Message, Outcome, Selection
from selfimprove.selection.equations import false_equations
from selfimprove.thinking.traces import parsed


@dataclass(frozen=True, config={"extra": "forbid"})
class KeepCorrect:
    """Accepts a trace whose answer verifies and that thinks once, in one closed block."""

    max_tokens: PositiveInt | None = None
    """Longer outputs are dropped; None keeps every length."""
    true_equations: bool = False
    """Drop a trace whose thinking states an equation of plain numbers that is false, as in `4 - 7 = 3`: its answer is right by luck."""

    def select(self, judged: Iterable[JudgedTrace], prompts: Mapping[str, tuple[Message, ...]], generation: int) -> Selection:
        """Accepted traces in the order of their ids, each on the prompt that training shows."""
        accepted: list[AcceptedTrace] = []
        drops: Counter[str] = Counter()
        for item in judged:
            reason = self.reason_to_drop(item)
            if reason is not None:
                drops[reason] += 1
                continue
            trace = item.trace
            messages = prompts[trace.problem_id]
            row = AcceptedTrace(trace.id, trace.problem_id, messages, trace.text, "sampled", generation, trace.output_token_ids, trace.forced)
            accepted.append(row)
        return Selection(tuple(sorted(accepted, key=lambda row: row.trace_id)), dict(drops))

    def reason_to_drop(self, judged: JudgedTrace) -> str | None:
        """Why this trace is not trained on, in a word that becomes a metric; None to keep it."""
        if judged.verdict.outcome is not Outcome.CORRECT:
            return judged.verdict.outcome.value
        if judged.trace.finish_reason != "stop":
            return "unfinished"
        parts = parsed(judged.trace)
        if parts.flags:
            return sorted(parts.flags)[0]
        if self.max_tokens is not None and judged.trace.output_tokens > self.max_tokens:
            return "too long"
        if self.true_equations and next(false_equations(parts.thinking or ""), None):
            return "false equation"
        return None
