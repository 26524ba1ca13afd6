"""Joins traces with what was found out about their thoughts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from selfimprove.records import AnnotatedTrace, JudgedTrace, Probe, Verdict

Probes = Mapping[str, tuple[Probe, ...]]
"""The probes of each probed trace, by its id."""

Rewards = Mapping[str, tuple[float, ...]]
"""The step rewards of each scored trace, by its id."""

FurtherVerdicts = Mapping[str, tuple[Verdict, ...]]
"""The verdicts of the further verifiers on each trace of an evaluation, by its id."""


def annotate(
    judged: Iterable[JudgedTrace], probes: Probes, rewards: Rewards | None = None, further: FurtherVerdicts | None = None
) -> Iterator[AnnotatedTrace]:
    """Each trace with its probes, step rewards and further verdicts."""
    rewards, further = rewards or {}, further or {}
    for item in judged:
        name = item.trace.id
        yield AnnotatedTrace(item.trace, item.verdict, probes.get(name, ()), rewards.get(name, ()), further.get(name, ()))
