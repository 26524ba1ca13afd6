from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from pytest import mark, raises

from selfimprove.verification.confined.codec import UNREADABLE, decode, encode

ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False) | st.text() | st.binary()
HASHABLE = st.recursive(ATOMS, lambda inner: st.lists(inner).map(tuple) | st.frozensets(inner), max_leaves=5)
VALUES = st.recursive(HASHABLE, lambda inner: st.lists(inner) | st.dictionaries(HASHABLE, inner) | st.sets(HASHABLE), max_leaves=10)


@given(VALUES)
def test_plain_data_survives(value: object) -> None:
    again = decode(encode(value))
    assert again == value and repr(type(again)) == repr(type(value))


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
