"""One writer for a run at a URL at a time; one that fell silent is taken over and writes no more."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from selfimprove import UserError
from selfimprove.storage.lock import BeingWritten
from selfimprove.storage.remote import lease
from selfimprove.storage.remote.file_store import Remote
from selfimprove.storage.remote.lease import Lease


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Remote:
    """A folder of its own; leases there are renewed 50 times a second and run out after half a second."""
    monkeypatch.setattr(lease, "BEAT", 0.02)
    monkeypatch.setattr(lease, "SILENCE", 0.5)
    return Remote(f"memory://leases/{request.node.name}")


@pytest.fixture
def taken(remote: Remote) -> Iterator[Lease]:
    """A lease that is held."""
    first = Lease(remote)
    first.take()
    yield first
    first.release()


def pretend(remote: Remote, **writer: object) -> None:
    """Let the note say another writer, one without a thread that renews it."""
    note = {"writer": {"process": 1, "host": "elsewhere", "since": "noon", **writer}, "token": "theirs", "beat": 3, "at": time.time()}
    remote.write("lease.json", json.dumps(note).encode())


def test_a_second_writer_is_refused_by_the_name_of_the_first(taken: Lease, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    here = re.escape(f"process {os.getpid()} on host {os.uname().nodename} since")
    with pytest.raises(BeingWritten, match=f"{re.escape(remote.url)} is being written by {here}"):
        Lease(remote).take()


def test_a_lease_that_was_given_back_is_free_at_once(remote: Remote) -> None:
    for _ in range(2):
        one = Lease(remote)
        one.take()
        one.release()
    assert remote.read("lease.json") is None


def test_one_that_nobody_renews_is_taken_over_after_a_while(remote: Remote) -> None:
    pretend(remote)
    begin = time.monotonic()
    one = Lease(remote)
    one.take()
    assert 0.5 < time.monotonic() - begin < 5
    one.release()


def test_that_of_a_process_of_this_machine_that_is_no_more_is_taken_over_at_once(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SILENCE", 600)
    gone = subprocess.Popen(["true"])
    gone.wait()
    pretend(remote, process=gone.pid, host=socket.gethostname())
    one = Lease(remote)
    one.take()
    one.release()


@pytest.mark.parametrize("what", ["taken over", "removed"])
def test_who_has_lost_it_is_told_and_leaves_it_alone(what: str, remote: Remote) -> None:
    one = Lease(remote)
    one.take()
    if what == "taken over":
        pretend(remote)
    else:
        remote.remove("lease.json")
    why = {"taken over": "process 1 on host elsewhere has taken over", "removed": r"its lease\.json is gone"}
    with pytest.raises(UserError, match=f"is written by this run no more: {why[what]}; the same command goes on"):
        one.hold()
    one.release()
    assert (remote.read("lease.json") is None) == (what == "removed")


def test_a_note_that_nobody_understands_is_replaced_once_it_does_not_change(remote: Remote) -> None:
    remote.write("lease.json", b"{")
    one = Lease(remote)
    one.take()
    one.hold()
    one.release()
