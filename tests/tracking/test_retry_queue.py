"""Failures of a tracker end in the outbox, and what failed is told later."""

from __future__ import annotations

import logging

from selfimprove.tracking.retry_queue import Outbox


class Store:
    """A toy store that can be away."""

    def __init__(self) -> None:
        self.away: Exception | None = None
        self.told: list[str] = []

    def take(self, item: str) -> None:
        if self.away:
            raise self.away
        self.told.append(item)


def test_what_failed_is_told_in_order_when_the_store_is_back():
    store, outbox = Store(), Outbox("toy")
    store.away = ConnectionError("nobody there")
    for item in ("first", "second"):
        outbox.put(item, lambda item=item: store.take(item))
        outbox.send()
    assert store.told == []
    store.away = None
    outbox.put("third", lambda: store.take("third"))
    outbox.send()
    outbox.send()
    assert store.told == ["first", "second", "third"]


def test_one_outage_makes_one_warning_and_the_next_outage_another(caplog):
    store, outbox = Store(), Outbox("toy")
    with caplog.at_level(logging.WARNING):
        for away in (ConnectionError("gone\nwith details"), ConnectionError("still gone"), None, ConnectionError("gone again")):
            store.away = away
            outbox.put("news", lambda: store.take("news"))
            outbox.send()
    assert [record.getMessage() for record in caplog.records] == [
        "toy was not told of news (ConnectionError: gone); it is tried again later.",
        "toy was not told of news (ConnectionError: gone again); it is tried again later.",
    ]


def test_a_refused_item_does_not_hold_up_the_others():
    store, outbox = Store(), Outbox("toy")
    outbox.put("refused", lambda: 1 / 0)
    outbox.put("welcome", lambda: store.take("welcome"))
    outbox.send()
    assert store.told == ["welcome"]


def test_a_patient_send_leaves_a_store_that_just_failed_alone():
    store, outbox = Store(), Outbox("toy")
    store.away = ConnectionError()
    outbox.put("news", lambda: store.take("news"))
    outbox.send(patiently=True)
    store.away = None
    outbox.send(patiently=True)
    assert store.told == []
    outbox.send()
    assert store.told == ["news"]
