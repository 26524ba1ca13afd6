"""Exceptions that reach the user as one line, without secrets."""

from __future__ import annotations

from selfimprove.errors.redaction import redact


class UserError(Exception):
    """An error that the user can fix. The message says in one line what is wrong and what to do; the command line exits with code 2."""

    def __str__(self) -> str:
        return redact(super().__str__())


class Unavailable(UserError):
    """A server that a part asks does not answer, or refuses every request. A verifier that raises it ends the run, which can be continued."""


class WorkerFailed(Exception):
    """A worker process kept dying, or did not respond before its deadline. The message names it and what it was doing."""

    def __str__(self) -> str:
        return redact(super().__str__())
