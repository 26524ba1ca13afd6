"""Joins traces with what was found out about their thoughts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from selfimprove.records import AnnotatedTrace, JudgedTrace, Probe

Probes = Mapping[str, tuple[Probe, ...]]
"""The probes of each probed trace, by its id."""

Rewards = Mapping[str, tuple[float, ...]]
"""The step rewards of each scored trace, by its id."""


def annotate(judged: Iterable[JudgedTrace], probes: Probes, rewards: Rewards | None = None) -> Iterator[AnnotatedTrace]:
    """Each trace with its probes and step rewards."""
    rewards = rewards or {}
    return (AnnotatedTrace(item.trace, item.verdict, probes.get(item.trace.id, ()), rewards.get(item.trace.id, ())) for item in judged)
