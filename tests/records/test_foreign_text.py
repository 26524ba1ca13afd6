"""Text and JSON from outside: what is refused, and what is mended."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from selfimprove.records.foreign_text import DEEPEST, parse_json, read_object, read_text, storable

LONG = "9" * 5000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is there twice"),
        ('{"a": 1, "\\u0061": 2}', "the key 'a' is there twice"),
        ("[NaN]", "NaN is not a number in JSON"),
        ("Infinity", "Infinity is not a number in JSON"),
        ("-Infinity", "-Infinity is not a number in JSON"),
        ("1e999", "1e999 is too large for a number"),
        ("-1e999", "-1e999 is too large for a number"),
        (LONG, "a number of 5,000 digits is too long: write it as text, in quotes"),
        (f"[-{LONG}]", "a number of 5,001 digits is too long"),
        (r'"\ud800"', "half of a surrogate pair"),
        (r'"\udfff\ud83d"', "half of a surrogate pair"),
        (r'{"\ud800": 1}', "half of a surrogate pair"),
        (r'[[{"a": ["\udead"]}]]', "half of a surrogate pair"),
        ('"\udcff"', "half of a surrogate pair"),
        ("[" * 900 + "]" * 900, "nested more than 64 levels deep"),
        ('{"a":' * 900 + "1" + "}" * 900, "nested more than 64 levels deep"),
        ("[" * 100_000 + "]" * 100_000, "nested more than 64 levels deep"),
        ("[" * 100_000, "nested more than 64 levels deep"),
    ],
    ids=range(18),
)
def test_json_that_cannot_be_stored_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_json(text)
    assert not isinstance(caught.value, json.JSONDecodeError) and len(str(caught.value)) < 120


@pytest.mark.parametrize(
    "text", ["{}", "0", "1.5e300", '"\\ud83d\\ude00"', '"NaN"', "[" * DEEPEST + "]" * DEEPEST, json.dumps("[" * 900), '"\\\\ud800"', "null", "true"]
)
def test_other_json_is_read_as_ever(text: str) -> None:
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", "nan", "hot", "[1,]", "'a'", "[" * 20])
def test_other_text_is_not_json(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("5\ud800", "5\ufffd"),
        ("\udfff\ud800", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("a\udcffb😀", "a\ufffdb😀"),
        ("\0 ok 😀", "\0 ok 😀"),
        ("", ""),
    ],
)
def test_half_of_a_surrogate_pair_is_replaced_in_a_text_that_must_be_kept(text: str, mended: str) -> None:
    assert storable(text) == mended
    mended.encode()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a folder"), (Path("/dev/zero"), "a device")):
        with pytest.raises(OSError, match=f"is {kind}, not a file"):
            read_text(path)
    with pytest.raises(ValueError, match=r"null (byte|character)"):
        read_text(Path("a\0b"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"{", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[1]", "holds a list"),
        (b"null", "holds a NoneType"),
    ],
    ids=range(7),
)
def test_a_file_without_a_json_object_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_object(tmp_path / "config.json")


def test_an_object_of_a_model_may_hold_infinity(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"time_step_limit": [0.0, Infinity]}')
    assert read_object(tmp_path / "config.json") == {"time_step_limit": [0.0, float("inf")]}
