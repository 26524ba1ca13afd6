"""Turns to send a request."""

from __future__ import annotations

import asyncio
import multiprocessing
import time

from selfimprove.endpoints.pace import Pace

FORK = multiprocessing.get_context("fork")


def take(pace: Pace) -> None:
    for _ in range(3):
        asyncio.run(pace.take_turn())


def test_processes_that_are_forked_share_the_turns() -> None:
    pace, began = Pace(300), time.monotonic()
    several = [FORK.Process(target=take, args=(pace,)) for _ in range(2)]
    for process in several:
        process.start()
    for process in several:
        process.join(60)
    assert time.monotonic() - began >= 5 * 0.2


def test_a_process_that_was_killed_in_its_turn_stops_nobody() -> None:
    pace = Pace(60_000)
    pace._next.get_lock().acquire()
    held = FORK.Process(target=take, args=(pace,))
    held.start()
    held.join(60)
    assert held.exitcode == 0
