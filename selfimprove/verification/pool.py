"""Judges answers in processes that are killed at a deadline, so that no answer can harm, hold up or be taken for another."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.protocols import Resources, Verifier, Verifiers
from selfimprove.records import Outcome, Problem, Trace, Verdict
from selfimprove.thinking.traces import parsed
from selfimprove.verification.fork_server import Nursery, Worker

LARGEST_CHUNK = 64
"""The most answers sent to a worker at once: enough to hide the cost of sending, few enough to share out evenly."""
LARGEST_REPORT = 1 << 16
"""Bytes; a worker's are far smaller."""
DEATHS = 2
"""How often a worker may die on one answer: the first death can be the late work of an earlier answer, or of the machine."""
MOST_COMPLAINTS = 100
"""How many distinct failures of the verifier a pool logs."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, config={"extra": "forbid", "arbitrary_types_allowed": True})
class VerifierPool(Verifiers):
    """A verifier in worker processes, each killed when one answer takes longer than the deadline.

    Bounds time, and what a crash can reach; it is no sandbox: a verifier that runs code from an answer must confine it itself.

    A verifier with a method `prepare()` has it called once, before any answer and outside the deadline: the place for slow imports.
    Workers are forked from the process that called it, so it should leave no threads behind.
    """

    verifier: Verifier
    deadline: Annotated[float, Field(gt=0)] = 5.0
    """Seconds of wall time for one answer."""
    processes: Annotated[int, Field(gt=0)] | None = None
    """How many answers are judged at once; None for one per CPU that this process may use."""
    resources: Resources = Resources(cpus=0)
    """Judging fits between the steps of the sampler."""

    def open(self) -> OpenVerifierPool:
        """Load the verifier in a process of its own. Raises UserError where it does not load."""
        return OpenVerifierPool(self)


class OpenVerifierPool:
    """A verifier that is loaded and ready; for one thread at a time."""

    def __init__(self, settings: VerifierPool) -> None:
        """Load the verifier; workers are started when there is something to judge."""
        self._settings = settings
        self._processes = settings.processes or len(os.sched_getaffinity(0))
        self._nursery = Nursery(settings.verifier)
        self._idle: list[Worker] = []
        self._complaints: set[str] = set()

    def verify(self, pairs: Sequence[tuple[Problem, Trace]]) -> list[Verdict]:
        """One verdict per trace, in the order given.

        UNPARSEABLE, without asking the verifier, where the trace holds no answer, or the problem none to judge by and the verifier needs one.
        """
        verifier = self._settings.verifier
        blind = not getattr(verifier, "needs_reference", True)
        answers = [parsed(trace).answer if blind or problem.answer else None for problem, trace in pairs]
        judged = iter(self.verify_answers([(problem, answer) for (problem, _), answer in zip(pairs, answers, strict=True) if answer is not None]))
        outcomes = [next(judged) if answer is not None else Outcome.UNPARSEABLE for answer in answers]
        return [
            Verdict(trace.id, outcome, parsed(trace).answer, verifier.name, verifier.version)
            for (_, trace), outcome in zip(pairs, outcomes, strict=True)
        ]

    def verify_answers(self, pairs: Sequence[tuple[Problem, str]]) -> list[Outcome]:
        """One outcome per answer, in the order given: TIMEOUT where its worker was killed, CRASH where the verifier raised or died."""
        judging = _Judging(pairs, self._settings, self._nursery, self._idle)
        try:
            while judging.unfinished:
                judging.share_out(self._processes)
                judging.collect()
        finally:
            judging.abandon()
            for complaint in judging.complaints:
                self._complain(complaint)
        return judging.outcomes

    def close(self) -> None:
        """End every process of the pool, and what the verifier started in it."""
        for worker in self._idle:
            worker.channel.close()
        self._idle.clear()
        self._nursery.close()

    def _complain(self, complaint: str) -> None:
        if complaint not in self._complaints and len(self._complaints) < MOST_COMPLAINTS:
            self._complaints.add(complaint)
            log.warning("the verifier %s failed on an answer: %s", self._settings.verifier.name, complaint)


class _Judging:
    """One call of `judge`: which answers wait, which worker is busy with which."""

    def __init__(self, pairs: Sequence[tuple[Problem, str]], settings: VerifierPool, nursery: Nursery, idle: list[Worker]) -> None:
        self._pairs, self._deadline, self._nursery, self._idle = pairs, settings.deadline, nursery, idle
        self._waiting = deque(range(len(pairs)))
        self._busy: list[Worker] = []
        self._deaths: Counter[int] = Counter()
        self.outcomes = [Outcome.CRASH] * len(pairs)
        self.complaints: dict[str, None] = {}

    @property
    def unfinished(self) -> bool:
        return bool(self._waiting or self._busy)

    def share_out(self, processes: int) -> None:
        """Give every free worker a chunk; chunks shrink toward the end, so that all workers end together."""
        while self._waiting and len(self._busy) < processes:
            size = min(LARGEST_CHUNK, max(1, len(self._waiting) // (2 * processes)))
            # Who met a death already gets a new worker: an idle one may have died of something else, unseen.
            met_death = self._deaths[self._waiting[0]] > 0
            worker = self._idle.pop() if self._idle and not met_death else self._nursery.hire()
            self._busy.append(worker)
            worker.running.extend(self._waiting.popleft() for _ in range(size))
            worker.since = time.monotonic()
            try:
                worker.give([self._pairs[index] for index in worker.running])
            except OSError:
                self._bury(worker)

    def collect(self) -> None:
        """Wait until a worker reports, dies or is due, and settle what it was doing."""
        # Taken before the wait: a report that is there by the deadline counts, however late this process comes to read it.
        now = time.monotonic()
        first_due = min((worker.since for worker in self._busy), default=now) + self._deadline
        ready = set(wait([worker.channel for worker in self._busy], max(0.0, first_due - now)))
        for worker in list(self._busy):
            if worker.channel in ready:
                self._read(worker)
            elif now >= worker.since + self._deadline:
                self.outcomes[worker.running.popleft()] = Outcome.TIMEOUT
                self._replace(worker)

    def abandon(self) -> None:
        """End the workers that are still busy: nobody waits for them any more."""
        for worker in list(self._busy):
            self._replace(worker)

    def _read(self, worker: Worker) -> None:
        try:
            while worker.running and worker.channel.poll():
                outcome, _, complaint = worker.channel.recv_bytes(LARGEST_REPORT).decode().partition(" ")
                self.outcomes[worker.running.popleft()] = Outcome(outcome)
                worker.since = time.monotonic()
                if complaint:
                    self.complaints[complaint] = None
        except (EOFError, OSError, ValueError):  # The last for what no worker writes: the verifier has got at the connection.
            self._bury(worker)
            return
        if not worker.running:
            self._busy.remove(worker)
            self._idle.append(worker)

    def _bury(self, worker: Worker) -> None:
        """A worker died: its answer gets another chance, and at the second death it is the culprit."""
        victim = worker.running.popleft()
        self._replace(worker)
        self._deaths[victim] += 1
        if self._deaths[victim] < DEATHS:
            self._waiting.appendleft(victim)
        else:
            self.outcomes[victim] = Outcome.CRASH
            self.complaints["its process died"] = None

    def _replace(self, worker: Worker) -> None:
        """End a worker and put back what it had not begun; the next chunk hires its successor."""
        self._busy.remove(worker)
        self._nursery.dismiss(worker)
        self._waiting.extendleft(reversed(worker.running))
