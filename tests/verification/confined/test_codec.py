from collections import deque, namedtuple
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from pytest import mark, raises

from selfimprove.verification.confined.codec import UNREADABLE, decode, encode

ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False) | st.text() | st.binary()
NAIVE = st.datetimes(), st.dates(), st.times(), st.timedeltas(), st.fractions(), st.decimals(allow_nan=False), st.builds(range, st.integers())
HASHABLE = st.recursive(ATOMS, lambda inner: st.lists(inner).map(tuple) | st.frozensets(inner), max_leaves=5)
VALUES = st.recursive(HASHABLE, lambda inner: st.lists(inner) | st.dictionaries(HASHABLE, inner) | st.sets(HASHABLE), max_leaves=10)


@given(VALUES)
def test_plain_data_survives(value: object) -> None:
    again = decode(encode(value))
    assert again == value and repr(type(again)) == repr(type(value))


@given(st.one_of(*NAIVE, st.builds(bytearray, st.binary()), st.builds(deque, st.lists(st.integers()), st.integers(0, 9))))
def test_values_of_the_standard_library_survive(value: object) -> None:
    again = decode(encode(value))
    assert again == value and type(again) is type(value)


def test_a_named_tuple_survives() -> None:
    point = namedtuple("point", "x y")(1, [2])  # type: ignore[misc]
    again = decode(encode(point))
    assert again == (1, [2]) and (again.x, again.y, repr(again)) == (1, [2], "point(x=1, y=[2])")


WRONG = [["no such", 1], ["Fraction", 1, 0], ["Decimal", "x"], ["date", 2024, 13, 1], ["timedelta", 10**30], ["range"], [], [[1]], ["deque", 5]]


@mark.parametrize("items", WRONG)
def test_what_no_value_can_be_made_of_is_refused(items: list[object]) -> None:
    for kind in (b"o", b"n"):
        with raises(UNREADABLE):
            decode(kind + encode(items)[1:])


@given(st.binary())
def test_any_bytes_are_plain_data_or_refused(data: bytes) -> None:
    with suppress(*UNREADABLE):
        encode(decode(data))


@mark.parametrize("bits", [0, 7, 8, 15, 16, 100_000])
def test_whole_numbers_of_any_size_survive(bits: int) -> None:
    numbers = [sign * (1 << bits) + step for sign in (1, -1) for step in (-1, 0, 1)]
    assert decode(encode(numbers)) == numbers


def test_a_subclass_arrives_as_its_plain_type() -> None:
    class Yes(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    assert type(decode(encode(Yes(3)))) is int


def test_an_object_is_not_plain_data() -> None:
    with raises(TypeError, match="object is not plain data"):
        encode([object()])
