"""Nothing that a terminal obeys or hides gets through."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from selfimprove.terminal.safe_text import plain_json, plain_line, plain_text

OBEYED = [
    "\x00",
    "\x07",
    "\x08",
    "\r",
    "\x1b",
    "\x7f",
    "\x85",
    "\x9b",
    "\u200b",
    "\u200e",
    "\u202e",
    "\u2028",
    "\u2066",
    "\ufeff",
    "\U000e0041",
    "\u3164",
]


@pytest.mark.parametrize("sign", OBEYED)
def test_each_is_shown_as_its_code(sign: str) -> None:
    for shown in (plain_text(f"a{sign}b"), plain_line(f"a{sign}b")):
        assert sign not in shown and shown.isprintable() and shown == f"a{ascii(sign)[1:-1]}b"
    assert plain_json([f"a{sign}b", {sign: 1}]).replace("\n", "").isprintable()


def test_newline_and_tab_stay_in_text_but_not_on_a_line() -> None:
    assert plain_text("a\n\tb") == "a\n\tb" and plain_line("a\n\tb") == "a\\n\\tb"


def test_other_text_stays_as_it_is() -> None:
    text = "What is 3 × 4? „Zwölf“ — 十二 ☃ 😀 é\u0301 ❤️ [red] \\n"
    assert plain_text(text) == plain_line(text) == text and json.dumps(text, ensure_ascii=False) == plain_json(text)


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@example({"\x9b\u202e\x7f\U000e0041": ["\ud800", "\x1b]0;x\x07"]})
def test_json_shows_the_same_and_parses_to_the_same(data: object) -> None:
    text = plain_json(data)
    assert json.loads(text) == data
    assert {unicodedata.category(sign) for sign in text.replace("\n", "")}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
