"""The exceptions that reach a user as one line."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: the message says what is wrong and what to do, in one line. The command line exits with code 2."""
