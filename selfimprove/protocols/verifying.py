"""Verifiers, as a user writes them and as they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from selfimprove.protocols.confinement import Confinement
from selfimprove.protocols.worker_part import WorkerPart
from selfimprove.records import Grade, Outcome, Problem, Trace, Verdict


@runtime_checkable
class Verifier(Protocol):
    """Tells right answers from wrong ones.

    It may fail or hang on an answer: it runs in a confined process that is killed at its deadline. Inherit from this class
    (`class MyVerifier(Verifier)`) to get its defaults.
    """

    name: str
    version: str
    """Change it whenever the verdicts change: `selfimprove reverify` compares versions."""

    @property
    def needs_reference(self) -> bool:
        """Whether it needs the problem's reference answer. If so, traces of a problem without one are `unparseable`."""
        return True

    @property
    def confinement(self) -> Confinement:
        """How its process is confined, and what it needs besides computing."""
        return Confinement()

    @property
    def concurrency(self) -> int | None:
        """Answers that each copy verifies at once, in as many processes; None: one for each CPU. Set it for a verifier that waits for a server."""
        return None

    @property
    def longest_wait(self) -> float:
        """Seconds that it may wait for a server on one answer; its deadline is that much later."""
        return 0.0

    def prepare(self) -> None:
        """Load what is slow to import; called once, outside the deadline and the confinement.

        Leave no threads running: workers are forked from this process.
        """
        return None

    def verify(self, problem: Problem, answer: str) -> Outcome | Grade:
        """Whether `answer`, the text after the thinking, solves the problem; a `Grade` gives partial credit.

        Any exception is a `crash` of this answer, but `errors.Unavailable` ends the run: a server that it asks would answer nothing else either.
        """
        ...


class OpenVerifiers(Protocol):
    """A loaded verifier, ready for traces."""

    def verify(self, pairs: Sequence[tuple[Problem, Trace]]) -> list[Verdict]:
        """One verdict per trace, in order."""
        ...

    def close(self) -> None:
        """Shut down for good."""
        ...


@runtime_checkable
class Verifiers(WorkerPart, Protocol):
    """A verifier with its deadline, opened where answers are verified: `verification.pool.VerifierPool`."""

    @property
    def devices(self) -> int:
        """None: verifying computes on CPUs."""
        return 0

    def open(self) -> OpenVerifiers:
        """Load the verifier; called on the worker."""
        ...
