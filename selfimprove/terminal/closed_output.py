"""Notices that nobody reads the output any more, as after `| head`."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STREAMS = {1: "stdout", 2: "stderr"}


class OutputClosed(Exception):
    """The reader of the output has closed it."""


@contextmanager
def noticing_closed_output() -> Iterator[None]:
    """Write out what the block prints, and drop what is left once nobody reads it.

    Raises:
        OutputClosed: The reader of standard output or standard error has closed it.
    """
    try:
        try:
            yield
        except SystemExit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except BrokenPipeError as error:
        # Other pipes lead to workers and servers.
        if not _drop_unread():
            raise
        raise OutputClosed from error
    except SystemExit as error:
        # Rich ends the program when its output is closed.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        _drop_unread()
        raise OutputClosed from error


def _drop_unread() -> bool:
    """Let the rest of each stream that nobody reads go nowhere; whether there is one."""
    unread = [descriptor for descriptor in STREAMS if _unread(descriptor)]
    for descriptor in unread:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
        getattr(sys, STREAMS[descriptor]).flush()
    return bool(unread)


def _unread(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
