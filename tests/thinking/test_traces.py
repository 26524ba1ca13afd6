from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pytest import mark, raises

from selfimprove.thinking.traces import Delimiters, parse, render

PIECES = st.sampled_from(["<think>", "</think>", "<think", "k>", "5", " ", "\n", "wait", "<<", ">"])
TEXTS = st.lists(PIECES).map("".join) | st.text()


@given(TEXTS, st.booleans(), st.sampled_from([Delimiters(), Delimiters("<", ">"), Delimiters("<think>", "<think>")]))
def test_rendering_a_parsed_trace_gives_back_its_text(text: str, opened: bool, delimiters: Delimiters) -> None:
    assert render(parse(text, delimiters, opened)) == text


@given(TEXTS)
def test_there_is_no_answer_before_the_thinking_ends(text: str) -> None:
    parsed = parse(text)
    if parsed.answer is not None:
        assert "unclosed" not in parsed.flags
        assert parsed.answer == parsed.answer.strip() != ""


def test_a_plain_trace_has_thinking_and_an_answer() -> None:
    parsed = parse("Well. <think>\n4 + 3 = 7.\n</think>\n 7 \n")
    assert (parsed.before, parsed.thinking, parsed.answer, parsed.flags) == ("Well. ", "\n4 + 3 = 7.\n", "7", frozenset())


@mark.parametrize(
    ("text", "thinking", "answer", "flags"),
    [
        (" 7\n", None, "7", {"missing"}),
        ("so </think> 7", None, "so </think> 7", {"missing"}),
        ("<think>4 + 3", "4 + 3", None, {"unclosed"}),
        ("<think>4 + 3</think> \n", "4 + 3", None, set()),
        ("<think> \n</think>7", " \n", "7", {"empty"}),
        ("<think>a<think>b</think>7", "a<think>b", "7", {"nested"}),
        ("<think>a</think>7<think>b</think>8", "a", "7<think>b</think>8", {"repeated"}),
        ("<think>a</think>7</think>8", "a", "7</think>8", {"repeated"}),
        ("", None, None, {"missing"}),
    ],
)
def test_what_is_odd_about_a_trace_is_flagged(text: str, thinking: str | None, answer: str | None, flags: set[str]) -> None:
    parsed = parse(text)
    assert (parsed.thinking, parsed.answer, parsed.flags) == (thinking, answer, flags)


def test_a_block_that_the_prompt_opened_starts_with_the_text() -> None:
    parsed = parse("4 + 3 = 7.</think>7", opened=True)
    assert (parsed.thinking, parsed.answer, parsed.flags) == ("4 + 3 = 7.", "7", frozenset())
    assert parse("4 + 3", opened=True).flags == {"unclosed"}


def test_an_empty_delimiter_is_refused() -> None:
    with raises(ValidationError):
        Delimiters("", "</think>")
