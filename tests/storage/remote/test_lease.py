"""One writer at a time for a run at a URL; a silent one loses its lease and writes no more."""

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
from selfimprove.storage.remote.file_store import FileStore
from selfimprove.storage.remote.lease import Lease


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> FileStore:
    """An empty store, where leases are renewed 50 times a second and end after half a second of silence."""
    monkeypatch.setattr(lease, "BEAT", 0.02)
    monkeypatch.setattr(lease, "SILENCE", 0.5)
    return FileStore(f"memory://leases/{request.node.name}")


@pytest.fixture
def taken(store: FileStore) -> Iterator[Lease]:
    """A lease that is held."""
    first = Lease(store)
    first.take()
    yield first
    first.release()


def pretend(store: FileStore, **writer: object) -> None:
    """Make the note name another writer, one without a thread that renews it."""
    note = {"writer": {"process": 1, "host": "elsewhere", "since": "noon", **writer}, "token": "theirs", "beat": 3, "at": time.time()}
    store.write("lease.json", json.dumps(note).encode())


def test_a_second_writer_is_refused_by_the_name_of_the_first(taken: Lease, store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    here = re.escape(f"process {os.getpid()} on host {os.uname().nodename} since")
    with pytest.raises(BeingWritten, match=f"{re.escape(store.url)} is being written by {here}"):
        Lease(store).take()


def test_a_released_lease_is_free_at_once(store: FileStore) -> None:
    for _ in range(2):
        one = Lease(store)
        one.take()
        one.release()
    assert store.read("lease.json") is None


def test_a_lease_that_nobody_renews_is_taken_over_after_a_while(store: FileStore) -> None:
    pretend(store)
    begin = time.monotonic()
    one = Lease(store)
    one.take()
    assert 0.5 < time.monotonic() - begin < 5
    one.release()


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_over_at_once(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SILENCE", 600)
    gone = subprocess.Popen(["true"])
    gone.wait()
    pretend(store, process=gone.pid, host=socket.gethostname())
    one = Lease(store)
    one.take()
    one.release()


@pytest.mark.parametrize("what", ["taken over", "removed"])
def test_a_writer_that_lost_its_lease_gets_an_error_and_leaves_it_alone(what: str, store: FileStore) -> None:
    one = Lease(store)
    one.take()
    if what == "taken over":
        pretend(store)
    else:
        store.remove("lease.json")
    why = {"taken over": "process 1 on host elsewhere has taken over", "removed": r"its lease\.json is gone"}
    with pytest.raises(UserError, match=f"is no longer written by this run: {why[what]}; run the same command"):
        one.hold()
    one.release()
    assert (store.read("lease.json") is None) == (what == "removed")


def test_an_unreadable_note_is_replaced_if_it_does_not_change(store: FileStore) -> None:
    store.write("lease.json", b"{")
    one = Lease(store)
    one.take()
    one.hold()
    one.release()
