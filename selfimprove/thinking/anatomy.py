"""Figures about the traces of a generation: number of thoughts, their length and their behaviours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from selfimprove.records import ThinkingFigures, Trace
from selfimprove.thinking.behaviours import Behaviour, Behaviours
from selfimprove.thinking.positions import Decode, thinking_tokens
from selfimprove.thinking.thoughts import Thought, split, switches
from selfimprove.thinking.traces import parsed


def dissect(trace: Trace, behaviours: Behaviours) -> list[tuple[Thought, Behaviour]]:
    """The thoughts of a trace, each with its behaviour, without blank thoughts; empty for a trace without thinking."""
    thoughts = [thought for thought in split(parsed(trace).thinking or "") if thought.text.strip()]
    return list(zip(thoughts, behaviours.mark([thought.text for thought in thoughts]), strict=True))


def anatomy(traces: Iterable[Trace], behaviours: Behaviours, decode: Decode | None = None) -> ThinkingFigures | None:
    """Figures over all traces, including those without thinking, with one trace in memory at a time. None without traces.

    Thinking tokens are counted if `decode` is given.
    """
    count = 0
    totals: Counter[str] = Counter()
    thoughts_of: Counter[Behaviour] = Counter()
    traces_with: Counter[Behaviour] = Counter()
    for trace in traces:
        count += 1
        thoughts = dissect(trace, behaviours)
        found = Counter(behaviour for _, behaviour in thoughts)
        thoughts_of.update(found)
        traces_with.update(found.keys())
        totals["thoughts"] += len(thoughts)
        totals["switches"] += switches([thought for thought, _ in thoughts])
        totals["thinking_tokens"] += thinking_tokens(trace, decode) if decode else 0
        totals["thinking_characters"] += sum(len(thought.text) for thought, _ in thoughts)
        totals["output_tokens"] += trace.output_tokens
    if not count:
        return None
    return ThinkingFigures(
        traces=count,
        thoughts=totals["thoughts"] / count,
        switches=totals["switches"] / count,
        thinking_characters=totals["thinking_characters"] / count,
        output_tokens=totals["output_tokens"] / count,
        behaviours={behaviour.value: thoughts_of[behaviour] / count for behaviour in Behaviour},
        behaviour_shares={behaviour.value: traces_with[behaviour] / count for behaviour in Behaviour},
        thinking_tokens=totals["thinking_tokens"] / count if decode else None,
        tokens_per_thought=totals["thinking_tokens"] / totals["thoughts"] if decode and totals["thoughts"] else None,
    )
