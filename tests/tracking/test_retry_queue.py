"""A tracker's failures end in the retry queue, and what failed is sent later."""

from __future__ import annotations

import logging
from types import SimpleNamespace

from selfimprove.tracking.retry_queue import RetryQueue


class Store:
    """A toy store that can be away."""

    def __init__(self) -> None:
        self.away: Exception | None = None
        self.stored: list[str] = []

    def take(self, item: str) -> None:
        if self.away:
            raise self.away
        self.stored.append(item)


def test_failed_items_are_sent_in_order_when_the_store_is_back():
    store, retry_queue = Store(), RetryQueue("toy")
    store.away = ConnectionError("nobody there")
    for item in ("first", "second"):
        retry_queue.put(item, lambda item=item: store.take(item))
        retry_queue.send()
    assert store.stored == []
    store.away = None
    retry_queue.put("third", lambda: store.take("third"))
    retry_queue.send()
    retry_queue.send()
    assert store.stored == ["first", "second", "third"]


def test_one_outage_makes_one_warning_and_the_next_outage_another(caplog):
    store, retry_queue = Store(), RetryQueue("toy")
    with caplog.at_level(logging.WARNING):
        for away in (ConnectionError("gone\nwith details"), ConnectionError("still gone"), None, ConnectionError("gone again")):
            store.away = away
            retry_queue.put("news", lambda: store.take("news"))
            retry_queue.send()
    assert [record.getMessage() for record in caplog.records] == [
        "news could not be sent to toy (ConnectionError: gone); it will be tried again later.",
        "news could not be sent to toy (ConnectionError: gone again); it will be tried again later.",
    ]


def test_a_refused_item_does_not_hold_up_the_others():
    store, retry_queue = Store(), RetryQueue("toy")
    retry_queue.put("refused", lambda: 1 / 0)
    retry_queue.put("welcome", lambda: store.take("welcome"))
    retry_queue.send()
    assert store.stored == ["welcome"]


def test_a_patient_send_leaves_a_store_that_just_failed_alone():
    store, retry_queue = Store(), RetryQueue("toy")
    store.away = ConnectionError()
    retry_queue.put("news", lambda: store.take("news"))
    retry_queue.send(patiently=True)
    store.away = None
    retry_queue.send(patiently=True)
    assert store.stored == []
    retry_queue.send()
    assert store.stored == ["news"]


def test_a_store_that_is_long_in_failing_is_asked_once_for_all_items(monkeypatch):
    now, asked = [0.0], list[str]()
    monkeypatch.setattr("selfimprove.tracking.retry_queue.time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait(item: str) -> None:
        asked.append(item)
        now[0] += 10
        raise ConnectionError("nobody there")

    retry_queue = RetryQueue("toy")
    for item in ("first", "second"):
        retry_queue.put(item, lambda item=item: wait(item))
    retry_queue.send()
    retry_queue.send(patiently=True)
    assert asked == ["first"]
    now[0] += 60
    retry_queue.send(patiently=True)
    assert asked == ["first", "first"]
