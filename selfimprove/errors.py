"""The exceptions that reach a user as one line, and what a line may not say."""

from __future__ import annotations

import re


class UserError(Exception):
    """Something the user can mend: the message says what is wrong and what to do, in one line. The command line exits with code 2."""


class WorkerFailed(Exception):
    """A worker process died again and again, or gave no sign of life before its deadline: the message names it and what it was doing."""


def without_password(text: str) -> str:
    """The text with user name and password left out of every address in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)
