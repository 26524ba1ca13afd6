"""What the traces of a generation are made of: how many thoughts, how long, and which behaviours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from selfimprove.records import Trace
from selfimprove.thinking.behaviours import Behaviour, Behaviours
from selfimprove.thinking.positions import Decode, thinking_tokens
from selfimprove.thinking.thoughts import Thought, split, switches
from selfimprove.thinking.traces import parsed


def dissect(trace: Trace, behaviours: Behaviours) -> list[tuple[Thought, Behaviour]]:
    """The thoughts of a trace, each with its behaviour; none where nothing is thought. A blank one is left out."""
    thoughts = [thought for thought in split(parsed(trace).thinking or "") if thought.text.strip()]
    return list(zip(thoughts, behaviours.mark([thought.text for thought in thoughts]), strict=True))


def anatomy(traces: Iterable[Trace], behaviours: Behaviours, decode: Decode | None = None) -> dict[str, float]:
    """Figures over all traces, those without thinking among them; one trace in memory at a time.

    Returns:
        `traces`: how many; means per trace: `thoughts`, `switches` (thoughts that turn away from the one before), `thinking_characters`,
        `output_tokens` (of thinking and answer together), the thoughts of each behaviour, under its name; `<behaviour>_share`: share of traces
        that show it. With `decode`, also the mean `thinking_tokens` per trace, and `tokens_per_thought` over all thoughts. Empty where
        there are no traces.
    """
    count = 0
    totals: Counter[str] = Counter()
    for trace in traces:
        count += 1
        thoughts = dissect(trace, behaviours)
        found = Counter(behaviour for _, behaviour in thoughts)
        totals["thoughts"] += len(thoughts)
        totals["switches"] += switches([thought for thought, _ in thoughts])
        if decode:
            totals["thinking_tokens"] += thinking_tokens(trace, decode)
        totals["thinking_characters"] += sum(len(thought.text) for thought, _ in thoughts)
        totals["output_tokens"] += trace.output_tokens
        totals.update({behaviour.value: found[behaviour] for behaviour in Behaviour})
        totals.update({f"{behaviour}_share": int(found[behaviour] > 0) for behaviour in Behaviour})
    per_thought = {"tokens_per_thought": totals["thinking_tokens"] / totals["thoughts"]} if decode and totals["thoughts"] else {}
    return {"traces": float(count), **{name: total / count for name, total in totals.items()}, **per_thought} if count else {}
