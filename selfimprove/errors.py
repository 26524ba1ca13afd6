"""The exceptions that reach a user as one line."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: the message says what is wrong and what to do, in one line. The command line exits with code 2."""


class WorkerFailed(Exception):
    """A worker process died again and again, or gave no sign of life before its deadline: the message names it and what it was doing."""
