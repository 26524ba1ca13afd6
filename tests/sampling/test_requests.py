"""Requests that are built when they are accessed."""

from __future__ import annotations

import pytest

from selfimprove import PlainQuestion, Sampling
from selfimprove.records import Problem, Request
from selfimprove.sampling.requests import Requests
from selfimprove.sampling.sampling import requests_for

PLAIN = Request("p/g1/s0", "p", (), 1.0, 1.0, 8, 0)


def numbered(group: int, place: int) -> Request:
    return Request(f"{group}/s{place}", str(group), (), 1.0, 1.0, 8, place)


def test_groups_follow_one_another_and_empty_ones_are_skipped() -> None:
    requests = Requests([2, 0, 3], numbered)
    assert [request.id for request in requests] == ["0/s0", "0/s1", "2/s0", "2/s1", "2/s2"]
    assert len(requests) == 5 and requests[-1].id == "2/s2"
    with pytest.raises(IndexError):
        requests[5]


def test_a_slice_is_a_list_that_can_be_sent_to_another_process() -> None:
    part = Requests([2, 3], numbered)[1:4]
    assert type(part) is list and [request.id for request in part] == ["0/s1", "1/s0", "1/s1"]


def test_sequences_with_the_same_requests_in_order_are_equal() -> None:
    requests = Requests([2], numbered)
    assert requests == [numbered(0, 0), numbered(0, 1)] and [numbered(0, 0), numbered(0, 1)] == requests
    assert requests != [numbered(0, 1), numbered(0, 0)] and requests != Requests([1], numbered)
    assert Requests([], numbered) == []


def test_no_request_is_built_before_it_is_accessed() -> None:
    made: list[tuple[int, int]] = []

    def noted(group: int, place: int) -> Request:
        made.append((group, place))
        return PLAIN

    requests = Requests([1_000_000] * 3, noted)
    assert len(requests) == 3_000_000 and not made
    assert requests[1_000_001] and made == [(1, 1)]


def test_a_request_does_not_depend_on_when_it_is_accessed() -> None:
    problems = [Problem(f"p{n}", f"{n}?", str(n), "test") for n in range(3)]
    asked = requests_for(problems, PlainQuestion(), Sampling(n=2), "g1", seed=4)
    assert [request.id for request in asked] == ["p0/g1/s0", "p0/g1/s1", "p1/g1/s0", "p1/g1/s1", "p2/g1/s0", "p2/g1/s1"]
    assert asked[3] == list(asked)[3] and len({request.seed for request in asked}) == 6
