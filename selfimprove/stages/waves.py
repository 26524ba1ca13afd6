"""Requests in waves: each wave follows from settings, seed and earlier verdicts, never from the order in which traces arrive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from selfimprove.records import JudgedTrace, Problem, Request, Tries
from selfimprove.sampling.requests import Requests
from selfimprove.sampling.sampling import another
from selfimprove.settings.paths import describe
from selfimprove.stages.annotate import annotate
from selfimprove.storage.manifest import digest
from selfimprove.storage.shards import JudgedShards
from selfimprove.workflow.workflow import Workflow


class Waves:
    """The requests of a generation, wave by wave. A wave follows from the verdicts of all waves but the last, which is still being sampled.

    Args:
        requests: Sample 0 of each problem; further samples are requested like it.
        problems: The problems, in the same order.
        number: The generation.
        rates: Predicted solve rates, by problem id.
    """

    def __init__(self, workflow: Workflow, requests: Sequence[Request], problems: Sequence[Problem], number: int, rates: Mapping[str, float]) -> None:
        self._workflow, self._number = workflow, number
        self._problems = {problem.id: problem for problem in problems}
        self._requests = {request.problem_id: request for request in requests}
        self._tries = {name: Tries(name, rates.get(name)) for name in self._requests}
        self._texts: set[tuple[str, str]] = set()

    @property
    def digest(self) -> str:
        """Digest of everything that decides on the requests, apart from verdicts."""
        rates = {name: one.solve_rate for name, one in self._tries.items()}
        return digest([describe(self._workflow.allocator), self._workflow.sampling.n, rates, *self._requests.values()])

    @property
    def ended(self) -> bool:
        """Whether no wave follows, whatever the verdicts."""
        return self._allot() is None

    @property
    def most(self) -> int:
        """The largest number of requests that may follow."""
        return max(0, self._workflow.sampling.n * len(self._tries) - sum(one.asked for one in self._tries.values()))

    def next_wave(self) -> Sequence[Request] | None:
        """The wave that the allocator decides on now; None where none follows."""
        allotted = self._allot()
        if allotted is None:
            return None
        known, seed = list(self._tries.values()), self._workflow.seed
        asked = [(self._requests[one.problem_id], one.asked) for one in known]
        for one, more in zip(known, allotted, strict=True):
            self._tries[one.problem_id] = replace(one, asked=one.asked + more)
        return Requests(allotted, lambda problem, place: another(asked[problem][0], asked[problem][1] + place, seed))

    def after_first(self, shards: JudgedShards) -> Iterator[Sequence[Request]]:
        """The missing requests of each wave after the first, which `shards` begins with; an empty wave waits for verdicts."""
        before, last = range(0), range(len(shards))
        while True:
            while not shards.complete(before):
                yield []
            if before:
                self._count(list(shards.read(before)))
            wave = self.next_wave()
            if wave is None or not (wave or last):
                return
            before, last = last, shards.extend(wave)
            if missing := shards.missing(last):
                yield missing

    def _allot(self) -> Sequence[int] | None:
        return self._workflow.allocator.allot(list(self._tries.values()), self._workflow.sampling.n)

    def _count(self, judged: Sequence[JudgedTrace]) -> None:
        prompts = {name: self._workflow.prompter.messages(self._problems[name]) for name in dict.fromkeys(item.trace.problem_id for item in judged)}
        for item in judged:
            one = self._tries[item.trace.problem_id]
            self._tries[one.problem_id] = replace(one, judged=one.judged + 1, tokens=one.tokens + item.trace.output_tokens)
        for row in self._workflow.selector.select(annotate(judged, {}), prompts, self._number).accepted:
            one, text = self._tries[row.problem_id], (row.problem_id, row.completion)
            self._tries[one.problem_id] = replace(one, accepted=one.accepted + 1, distinct=one.distinct + (text not in self._texts))
            self._texts.add(text)
