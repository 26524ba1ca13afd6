"""Which copy gets which call, tested without processes."""

from __future__ import annotations

from collections.abc import Iterator

from selfimprove.cluster.dispatch import MOST_CALLS, Call, Dispatch
from selfimprove.protocols import Load

BY_LENGTH = Load(4, of_call=lambda arguments: len(arguments[0]), of_item=len)


def given(dispatch: Dispatch) -> list[Call]:
    """Every call that begins now."""
    return list(iter(dispatch.next, None))


def test_each_copy_gets_two_calls_by_default() -> None:
    dispatch = Dispatch([(n,) for n in range(5)], range(2), None)
    begun = given(dispatch)
    assert [(call.copy, call.arguments) for call in begun] == [(0, (0,)), (1, (1,)), (0, (2,)), (1, (3,))]
    dispatch.came(begun[1], "an item of a stream of unknown length")
    assert not given(dispatch)
    dispatch.ended(begun[1])
    assert [call.copy for call in given(dispatch)] == [1]


def test_a_copy_is_filled_by_its_missing_results_not_by_its_open_calls() -> None:
    dispatch = Dispatch([("abc",), ("def",), ("ghi",), ("jkl",)], range(1), BY_LENGTH)
    first, second = given(dispatch)
    dispatch.came(first, "ab")
    assert not given(dispatch), "four results are missing"
    dispatch.came(second, "d")
    assert [call.arguments for call in given(dispatch)] == [("ghi",)], "three results are missing, of two open calls"


def test_the_copy_with_the_least_to_do_comes_first() -> None:
    dispatch = Dispatch([("abc",), ("d",), ("e",), ("f",)], range(2), BY_LENGTH)
    assert [call.copy for call in given(dispatch)] == [0, 1, 1, 1]


def test_calls_of_a_lost_copy_begin_anew_before_any_other() -> None:
    dispatch = Dispatch([("abcd",), ("efgh",), ("ij",), ("klmn",)], range(2), BY_LENGTH)
    first, second = given(dispatch)
    dispatch.came(first, "abc")
    third, fourth = given(dispatch)
    assert (first.copy, second.copy, third.copy, fourth.copy) == (0, 1, 0, 0)
    dispatch.lost(0)
    assert not given(dispatch), "the other copy is full"
    dispatch.ended(second)
    assert given(dispatch) == [first] and (first.copy, first.missing, first.attempt) == (1, 4, 1)
    dispatch.join(0)
    assert given(dispatch) == [third, fourth] and (third.copy, fourth.copy, third.attempt) == (0, 0, 1)


def test_without_any_copy_there_is_no_room() -> None:
    dispatch = Dispatch([("a",)], [0], None)
    (call,) = given(dispatch)
    dispatch.lost(0)
    assert not dispatch.room and not given(dispatch)
    dispatch.join(0)
    assert dispatch.room and given(dispatch) == [call]


def test_surplus_results_do_not_count_below_zero() -> None:
    dispatch = Dispatch([("ab",), ("cd",), ("ef",)], range(1), BY_LENGTH)
    first, _ = given(dispatch)
    dispatch.came(first, "ab")
    dispatch.came(first, "ab")
    assert len(given(dispatch)) == 1 and first.missing == 0


def test_a_source_that_is_not_ready_is_asked_again() -> None:
    ready: list[bool] = []

    def calls() -> Iterator[tuple[str] | None]:
        yield ("a",)
        while not ready:
            yield None
        yield ("b",)

    dispatch = Dispatch(calls(), range(1), None)
    (first,) = given(dispatch)
    assert not dispatch.exhausted
    ready.append(True)
    assert [call.arguments for call in given(dispatch)] == [("b",)]
    dispatch.ended(first)
    assert not given(dispatch) and dispatch.exhausted


def test_no_copy_holds_more_calls_than_its_actor_has_threads() -> None:
    dispatch = Dispatch([("",)] * 2 * MOST_CALLS, range(1), BY_LENGTH)
    begun = given(dispatch)
    assert len(begun) == MOST_CALLS
    dispatch.ended(begun[0])
    assert len(given(dispatch)) == 1
