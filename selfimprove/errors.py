"""Exceptions that reach the user as one line."""

from __future__ import annotations

import re


class UserError(Exception):
    """An error that the user can fix. The message says in one line what is wrong and what to do; the command line exits with code 2."""


class WorkerFailed(Exception):
    """A worker process kept dying, or did not respond before its deadline. The message names it and what it was doing."""


def without_password(text: str) -> str:
    """The text without the user name and password of any address in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)
