"""Verifies answers in processes that are killed at a deadline, so that no answer can do harm, block others or be mixed up with them."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.errors import Unavailable
from selfimprove.errors.redaction import redact
from selfimprove.protocols import Resources, Verifier, Verifiers
from selfimprove.records import Outcome, Problem, Trace, Verdict
from selfimprove.records.numbers import Float, Int
from selfimprove.thinking.traces import parsed
from selfimprove.verification.fork_server import ForkServer, VerifierProcess
from selfimprove.verification.report import Report

LARGEST_CHUNK = 64
"""Maximum number of answers sent to a worker at once: enough to hide the cost of sending, few enough to balance the load."""
LARGEST_REPORT = 1 << 16
"""Maximum bytes of a report; those of a worker are far smaller."""
DEATHS = 2
"""How often a worker may die on one answer. The first death may be a late effect of an earlier answer, or the machine's fault."""
MOST_FAILURES = 100
"""Maximum number of distinct verifier failures that a pool logs."""

UNPARSEABLE = Report(Outcome.UNPARSEABLE, Outcome.UNPARSEABLE.score)
TIMEOUT = Report(Outcome.TIMEOUT, Outcome.TIMEOUT.score)

log = logging.getLogger(__name__)


@dataclass(frozen=True, config={"extra": "forbid", "arbitrary_types_allowed": True})
class VerifierPool(Verifiers):
    """A verifier in worker processes; a worker is killed when one answer takes longer than the deadline.

    The workers are confined as the verifier declares (`Verifier.confinement`). That protects the machine, not the verdict: a verifier that runs code
    from an answer must keep it out of its own process.
    """

    verifier: Verifier
    deadline: Annotated[Float, Field(gt=0)] = 5.0
    """Seconds of wall time for one answer, besides the verifier's own `longest_wait`."""
    processes: Annotated[Int, Field(gt=0)] | None = None
    """Answers verified at once by each copy; None: the verifier's own `concurrency`, or one for each CPU that the copy reserves or, if it
    reserves less than one, may use."""
    resources: Resources = Resources(cpus=0, gpus=0)
    """Nothing is reserved by default: verification needs no GPU, and fits between the steps of the sampler."""

    def open(self) -> OpenVerifierPool:
        """Load the verifier in its own process. Raises UserError if it does not load."""
        return OpenVerifierPool(self)


class OpenVerifierPool:
    """A loaded verifier. Threads take turns: an answer has every process of the pool behind it, whoever asked."""

    def __init__(self, settings: VerifierPool) -> None:
        """Load the verifier. Workers start when there is something to verify."""
        self._settings = settings
        reserved = settings.resources.cpus
        cpus = math.ceil(reserved) if reserved >= 1 else len(os.sched_getaffinity(0))
        self._processes = settings.processes or settings.verifier.concurrency or cpus
        self._deadline = settings.deadline + settings.verifier.longest_wait
        self._turn = threading.Lock()
        self._fork_server = ForkServer(settings.verifier)
        self._idle: list[VerifierProcess] = []
        self._logged: set[str] = set()

    def verify(self, pairs: Sequence[tuple[Problem, Trace]]) -> list[Verdict]:
        """One verdict per trace, in the order given.

        A trace without an answer is UNPARSEABLE; so is every trace of a problem without a reference answer if the verifier needs one. The verifier
        does not see these.
        """
        verifier = self._settings.verifier
        answers = [parsed(trace).answer if problem.answer or not verifier.needs_reference else None for problem, trace in pairs]
        verified = iter(self.reports([(problem, answer) for (problem, _), answer in zip(pairs, answers, strict=True) if answer is not None]))
        reports = [next(verified) if answer is not None else UNPARSEABLE for answer in answers]
        return [
            Verdict(trace.id, report.outcome, parsed(trace).answer, verifier.name, verifier.version, report.score)
            for (_, trace), report in zip(pairs, reports, strict=True)
        ]

    def verdicts(self, pairs: Sequence[tuple[Problem, Trace]]) -> Iterator[list[Verdict]]:
        """What `verify` returns, as a stream of one item, so that the copies of a pool share the work (`Worker.stream`)."""
        yield self.verify(pairs)

    def verify_answers(self, pairs: Sequence[tuple[Problem, str]]) -> list[Outcome]:
        """One outcome per answer, in the order given: TIMEOUT if its worker was killed, CRASH if the verifier raised an exception or died."""
        return [report.outcome for report in self.reports(pairs)]

    def close(self) -> None:
        """End every process of the pool and everything the verifier started in it."""
        for worker in self._idle:
            worker.channel.close()
        self._idle.clear()
        self._fork_server.close()

    def reports(self, pairs: Sequence[tuple[Problem, str]]) -> list[Report]:
        """One report per answer, in the order given: its outcome, its score, and why the verifier failed if it did.

        Raises Unavailable if a server that the verifier asks does not answer.
        """
        with self._turn:
            batch = _Batch(pairs, self._deadline, self._fork_server, self._idle)
            try:
                while batch.unfinished and not batch.unavailable:
                    batch.share_out(self._processes)
                    batch.collect()
            finally:
                batch.abandon()
                for failure in batch.failures:
                    self._log(failure)
            if batch.unavailable:
                raise Unavailable(f"the verifier {self._settings.verifier.name}: {batch.unavailable}")
        return batch.reports

    def _log(self, failure: str) -> None:
        if failure not in self._logged and len(self._logged) < MOST_FAILURES:
            self._logged.add(failure)
            log.warning("the verifier %s failed on an answer: %s", self._settings.verifier.name, redact(failure))


class _Batch:
    """The answers of one call: which are waiting, and which worker has which."""

    def __init__(self, pairs: Sequence[tuple[Problem, str]], deadline: float, fork_server: ForkServer, idle: list[VerifierProcess]) -> None:
        self._pairs, self._deadline, self._fork_server, self._idle = pairs, deadline, fork_server, idle
        self._waiting = deque(range(len(pairs)))
        self._busy: list[VerifierProcess] = []
        self._deaths: Counter[int] = Counter()
        self.reports = [Report.crash("")] * len(pairs)
        self.failures: dict[str, None] = {}
        self.unavailable = ""
        """Why no answer can be verified now."""

    @property
    def unfinished(self) -> bool:
        return bool(self._waiting or self._busy)

    def share_out(self, processes: int) -> None:
        """Give every free worker a chunk. Chunks shrink toward the end, so that all workers finish together."""
        while self._waiting and len(self._busy) < processes:
            size = min(LARGEST_CHUNK, max(1, len(self._waiting) // (2 * processes)))
            # An answer that met a death gets a new worker: an idle one may have died of something else, unseen.
            met_death = self._deaths[self._waiting[0]] > 0
            worker = self._idle.pop() if self._idle and not met_death else self._fork_server.fork()
            self._busy.append(worker)
            worker.running.extend(self._waiting.popleft() for _ in range(size))
            worker.since = time.monotonic()
            try:
                worker.give([self._pairs[index] for index in worker.running])
            except OSError:
                self._handle_death(worker)

    def collect(self) -> None:
        """Wait until a worker reports, dies or reaches the deadline, and settle its answers."""
        # Taken before the wait: a report that has arrived by the deadline counts, however late this process reads it.
        now = time.monotonic()
        first_due = min((worker.since for worker in self._busy), default=now) + self._deadline
        ready = set(wait([worker.channel for worker in self._busy], max(0.0, first_due - now)))
        for worker in list(self._busy):
            if worker.channel in ready:
                self._read(worker)
            elif now >= worker.since + self._deadline:
                self.reports[worker.running.popleft()] = TIMEOUT
                self._remove(worker)

    def abandon(self) -> None:
        """End the workers that are still busy: nobody waits for them any more."""
        for worker in list(self._busy):
            self._remove(worker)

    def _read(self, worker: VerifierProcess) -> None:
        try:
            while worker.running and worker.channel.poll():
                report = Report.decode(worker.channel.recv_bytes(LARGEST_REPORT))
                self.reports[worker.running.popleft()] = report
                worker.since = time.monotonic()
                if report.unavailable:
                    self.unavailable = report.failure
                elif report.failure:
                    self.failures[report.failure] = None
        except (EOFError, OSError, ValueError):  # ValueError: no worker wrote this, so the verifier has got at the connection.
            self._handle_death(worker)
            return
        if not worker.running:
            self._busy.remove(worker)
            self._idle.append(worker)

    def _handle_death(self, worker: VerifierProcess) -> None:
        """Give the answer of a dead worker another chance; at its second death it is the culprit."""
        victim = worker.running.popleft()
        self._remove(worker)
        self._deaths[victim] += 1
        if self._deaths[victim] < DEATHS:
            self._waiting.appendleft(victim)
        else:
            self.reports[victim] = Report.crash("its process died")
            self.failures[self.reports[victim].failure] = None

    def _remove(self, worker: VerifierProcess) -> None:
        """End a worker and put back the answers that it had not begun; the next chunk gets a new worker."""
        self._busy.remove(worker)
        self._fork_server.end(worker)
        self._waiting.extendleft(reversed(worker.running))
