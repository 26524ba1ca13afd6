"""Under-thinking and over-thinking: where a wrong trace was right already, and where a right one could have stopped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from pydantic.dataclasses import dataclass

from selfimprove.records import AnnotatedTrace, Estimate, JudgedTrace, Message, Outcome, Probe, Request, Trace
from selfimprove.records.numbers import NonNegativeFloat, NonNegativeInt, PositiveInt
from selfimprove.seeds import derive_seed
from selfimprove.thinking.positions import Decode, thought_ends, token_count
from selfimprove.thinking.traces import parsed

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, config={"extra": "forbid"})
class ThinkingProbe:
    """The truncated-thinking probe: the thinking is ended after each thought, and the answers that follow are judged."""

    samples: PositiveInt = 4
    """Number of answers after each thought."""
    temperature: NonNegativeFloat = 0.6
    """Sampling temperature of the answers."""
    answer_tokens: PositiveInt = 32
    """Maximum number of tokens in an answer."""
    wrong: NonNegativeInt | None = 100
    """Number of traces without a right answer that are probed in each generation, drawn by the seed; None for all."""
    correct: NonNegativeInt | None = 100
    """Number of traces with a right answer that are probed; None for all."""


def probe_requests(
    trace: Trace, messages: tuple[Message, ...], probing: ThinkingProbe, decode: Decode, encode: Encode, seed: int
) -> Iterator[tuple[Probe, list[Request]]]:
    """For each thought of a trace, the probe without its answers, and the requests for them. `messages` is the chat that the trace answered.

    The thinking ends as it does in this trace, token for token; if it has no end, with the delimiter on its own line.
    """
    ending = _ending(trace, decode, encode)
    for number, count in enumerate(thought_ends(trace, decode)):
        ids = [f"{trace.id}/t{number}/s{sample}" for sample in range(probing.samples)]
        yield (
            Probe(trace.id, number, count, 0, probing.samples),
            [
                Request(
                    id=name,
                    problem_id=trace.problem_id,
                    messages=messages,
                    temperature=probing.temperature,
                    top_p=1.0,
                    max_tokens=probing.answer_tokens,
                    seed=derive_seed(seed, name),
                    delimiters=trace.delimiters,
                    prefix=(*trace.output_token_ids[:count], *ending),
                )
                for name in ids
            ],
        )


def _ending(trace: Trace, decode: Decode, encode: Encode) -> Sequence[int]:
    """The tokens from the end of the last thought to the answer."""
    parts = parsed(trace)
    if not parts.closing:
        return encode(f"\n{trace.delimiters.end}\n")
    thinking = parts.before + parts.opening + (parts.thinking or "").rstrip()
    answer = len(trace.text) - len(parts.after.lstrip())
    return trace.output_token_ids[token_count(trace, len(thinking), decode) : token_count(trace, answer, decode)]


def answered(probes: Iterable[Probe], answers: Iterable[JudgedTrace]) -> dict[str, tuple[Probe, ...]]:
    """The probes of each trace in order, by trace id, with the number of right answers."""
    right: defaultdict[str, int] = defaultdict(int)
    for answer in answers:
        right[answer.trace.id.rpartition("/s")[0]] += answer.verdict.outcome is Outcome.CORRECT
    found: defaultdict[str, list[Probe]] = defaultdict(list)
    for probe in probes:
        found[probe.trace_id].append(Probe(probe.trace_id, probe.thought, probe.tokens, right[f"{probe.trace_id}/t{probe.thought}"], probe.samples))
    return {trace: tuple(probes) for trace, probes in found.items()}


def first_correct(probes: Sequence[Probe]) -> Probe | None:
    """The probe of the first thought after which most answers are right."""
    return next((probe for probe in probes if probe.correct), None)


def first_stable(probes: Sequence[Probe]) -> Probe | None:
    """The probe of the first thought after which, and after every later one, most answers are right."""
    stable = None
    for probe in reversed(probes):
        if not probe.correct:
            break
        stable = probe
    return stable


def under_thinking(judged: AnnotatedTrace) -> float:
    """1 − (output tokens to the end of the first correct thought ÷ all output tokens) of a wrong trace; 0 if no thought was correct.

    The under-thinking score of Wang et al. 2025, "Thoughts are all over the place", equation 1, before its mean over traces.
    """
    found = first_correct(judged.probes)
    return 1 - found.tokens / len(judged.trace.output_token_ids) if found else 0.0


def over_thinking(probes: Sequence[Probe]) -> float:
    """Share of the tokens up to the end of the last thought that follow the first stable correct one; 0 if there is none."""
    found = first_stable(probes)
    return 1 - found.tokens / probes[-1].tokens if found else 0.0


def estimates(judged: Iterable[AnnotatedTrace]) -> tuple[Estimate | None, Estimate | None]:
    """Mean under-thinking of the probed traces without a right answer, and mean over-thinking of those with one; None without such traces.

    The 95 % intervals are bootstrapped over traces.
    """
    under, over = list[float](), list[float]()
    for item in judged:
        if item.probes and item.verdict.outcome is Outcome.CORRECT:
            over.append(over_thinking(item.probes))
        elif item.probes:
            under.append(under_thinking(item))
    return _estimate(under), _estimate(over)


def _estimate(values: list[float]) -> Estimate | None:
    return Estimate(sum(values) / len(values), *_interval(values), len(values)) if values else None


def _interval(values: list[float]) -> tuple[float, float]:
    if len(set(values)) == 1:
        return values[0], values[0]
    import numpy
    from scipy.stats import bootstrap

    bounds = bootstrap((values,), numpy.mean, method="percentile", n_resamples=2000, rng=numpy.random.default_rng(0)).confidence_interval
    return float(bounds.low), float(bounds.high)
