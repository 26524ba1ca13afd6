"""What kept a generation's traces from being accepted, and what to change first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from selfimprove.records import JudgedTrace, Outcome
from selfimprove.thinking.traces import parsed

CUT, UNCLOSED, ENDLESS = "ran into max_tokens while thinking", "never closed their thinking", "never ended their turn"
TOO_WEAK = (
    "the model is too weak for these problems as they are asked: give first_prompter (better) exemplars, sample more, take easier problems or a "
    "stronger base_model"
)
WORDLESS = "right answers came without a block of thinking: ask for one (ZeroShot, exemplars), or set the teacher's answer_after"
UNDECIDED = "the verifier did not decide: see the answers with `selfimprove traces --outcome timeout` and `crash`, or raise verifier_deadline"
TOO_STRICT = "right answers were dropped for other reasons: loosen the selector"


def obstacle(item: JudgedTrace) -> str | None:
    """How a trace failed to come to its end: while it thought, or after its answer; None if it ended."""
    unclosed = "unclosed" in parsed(item.trace).flags
    if item.trace.finish_reason == "length":
        return CUT if unclosed else ENDLESS
    return UNCLOSED if unclosed else None


def why_none(judged: Iterable[JudgedTrace], drops: Mapping[str, int], name: str = "sampling") -> str:
    """The reasons with their counts, and the first thing to change.

    That is what kept most of the traces with a right answer from being accepted; where no answer is right, most of all traces.

    Args:
        drops: What selection dropped, by reason; verdicts where it says nothing.
        name: The setting with the `Sampling` of these traces.
    """
    outcomes: Counter[str] = Counter()
    ends: Counter[str | None] = Counter()
    right: Counter[str | None] = Counter()
    for item in judged:
        outcomes[item.verdict.outcome.value] += 1
        ends[found := obstacle(item)] += 1
        right[found] += item.verdict.outcome is Outcome.CORRECT
    counts = ", ".join(f"{count} {reason}" for reason, count in (drops or outcomes).items() if count)
    told = ", ".join(f"{ends[end]} {end}" for end in (CUT, UNCLOSED, ENDLESS) if ends[end])
    first, _ = max((+right or ends).items(), key=lambda entry: entry[1], default=(None, 0))
    return f"({counts}){'; ' + told if told else ''}; {_advice(first, right, outcomes, drops, name)}"


def _advice(first: str | None, right: Mapping[str | None, int], outcomes: Mapping[str, int], drops: Mapping[str, int], name: str) -> str:
    if first == CUT:
        return f"raise {name}.max_tokens, or set {name}.budget, which closes the thinking in time"
    if first == UNCLOSED:
        return "show the model how its thinking ends: first_prompter with (more) exemplars, or delimiters that it knows"
    if first == ENDLESS:
        return f'the model does not end its turns: give first_prompter (more) exemplars, or {name}.extra={{"stop": […]}} with what it writes instead'
    if "missing" in drops:
        return WORDLESS
    if outcomes.get("timeout", 0) + outcomes.get("crash", 0) > sum(outcomes.values()) / 2:
        return UNDECIDED
    return TOO_STRICT if right.get(None) else TOO_WEAK
