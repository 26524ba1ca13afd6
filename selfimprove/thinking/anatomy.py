"""What the traces of a generation are made of: how many thoughts, how long, and which moments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from selfimprove.records import Trace
from selfimprove.thinking.behaviours import Moment, Moments
from selfimprove.thinking.positions import Decode, thinking_tokens
from selfimprove.thinking.thoughts import Thought, split, switches
from selfimprove.thinking.traces import parsed


def dissect(trace: Trace, moments: Moments) -> list[tuple[Thought, Moment]]:
    """The thoughts of a trace, each with its moment; none where nothing is thought. A blank one is left out."""
    thoughts = [thought for thought in split(parsed(trace).thinking or "") if thought.text.strip()]
    return list(zip(thoughts, moments.mark([thought.text for thought in thoughts]), strict=True))


def anatomy(traces: Iterable[Trace], moments: Moments, decode: Decode | None = None) -> dict[str, float]:
    """Figures over all traces, those without thinking among them; one trace in memory at a time.

    Returns:
        `traces`: how many; means per trace: `thoughts`, `switches` (thoughts that turn away from the one before), `thinking_characters`,
        `output_tokens` (of thinking and answer together), and under the name of each moment the thoughts that are it; `<moment>_share`: the share of
        traces that show it. With `decode`, also the mean `thinking_tokens` per trace, and `tokens_per_thought` over all thoughts. Empty where
        there are no traces.
    """
    count = 0
    totals: Counter[str] = Counter()
    for trace in traces:
        count += 1
        thoughts = dissect(trace, moments)
        found = Counter(moment for _, moment in thoughts)
        totals["thoughts"] += len(thoughts)
        totals["switches"] += switches([thought for thought, _ in thoughts])
        if decode:
            totals["thinking_tokens"] += thinking_tokens(trace, decode)
        totals["thinking_characters"] += sum(len(thought.text) for thought, _ in thoughts)
        totals["output_tokens"] += trace.output_tokens
        totals.update({moment.value: found[moment] for moment in Moment})
        totals.update({f"{moment}_share": int(found[moment] > 0) for moment in Moment})
    per_thought = {"tokens_per_thought": totals["thinking_tokens"] / totals["thoughts"]} if decode and totals["thoughts"] else {}
    return {"traces": float(count), **{name: total / count for name, total in totals.items()}, **per_thought} if count else {}
