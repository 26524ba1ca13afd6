"""Failures of a tracker end in the retry_queue, and what failed is told later."""

from __future__ import annotations

import logging

from selfimprove.tracking.retry_queue import RetryQueue


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
    store, retry_queue = Store(), RetryQueue("toy")
    store.away = ConnectionError("nobody there")
    for item in ("first", "second"):
        retry_queue.put(item, lambda item=item: store.take(item))
        retry_queue.send()
    assert store.told == []
    store.away = None
    retry_queue.put("third", lambda: store.take("third"))
    retry_queue.send()
    retry_queue.send()
    assert store.told == ["first", "second", "third"]


def test_one_outage_makes_one_warning_and_the_next_outage_another(caplog):
    store, retry_queue = Store(), RetryQueue("toy")
    with caplog.at_level(logging.WARNING):
        for away in (ConnectionError("gone\nwith details"), ConnectionError("still gone"), None, ConnectionError("gone again")):
            store.away = away
            retry_queue.put("news", lambda: store.take("news"))
            retry_queue.send()
    assert [record.getMessage() for record in caplog.records] == [
        "toy was not told of news (ConnectionError: gone); it is tried again later.",
        "toy was not told of news (ConnectionError: gone again); it is tried again later.",
    ]


def test_a_refused_item_does_not_hold_up_the_others():
    store, retry_queue = Store(), RetryQueue("toy")
    retry_queue.put("refused", lambda: 1 / 0)
    retry_queue.put("welcome", lambda: store.take("welcome"))
    retry_queue.send()
    assert store.told == ["welcome"]


def test_a_patient_send_leaves_a_store_that_just_failed_alone():
    store, retry_queue = Store(), RetryQueue("toy")
    store.away = ConnectionError()
    retry_queue.put("news", lambda: store.take("news"))
    retry_queue.send(patiently=True)
    store.away = None
    retry_queue.send(patiently=True)
    assert store.told == []
    retry_queue.send()
    assert store.told == ["news"]
