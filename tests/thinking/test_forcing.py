"""Budget forcing as a function of the tokens so far: limits hold whatever a model writes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfimprove.records.budgets import Budget
from selfimprove.thinking.forcing import Forcing, Vocabulary, Writing
from selfimprove.thinking.thoughts import complete, split
from selfimprove.thinking.traces import THINK, Delimiters, parse

TEXTS = [
    "<eos>",
    "</",
    "think",
    ">",
    "<",
    "/",
    " </",
    "a",
    " b",
    "\n",
    ". ",
    "Wait",
    ",",
    " so",
    "1",
    "</think>",
    "<think>",
    "th",
    "ink>\n",
    *"ink",
    " ",
]
EOS = 0


def encode(text: str) -> list[int]:
    """Longest token first, without special tokens for the delimiters: a delimiter is several tokens, as in most vocabularies."""
    ids = []
    while text:
        fitting = [n for n, token in enumerate(TEXTS) if n not in (EOS, 15, 16) and text.startswith(token)]
        best = max(fitting, key=lambda n: len(TEXTS[n]))
        ids.append(best)
        text = text[len(TEXTS[best]) :]
    return ids


VOCABULARY = Vocabulary(TEXTS, encode, (EOS,))
budgets = st.builds(
    lambda low, more, thoughts, more_thoughts, **rest: Budget(
        min_tokens=low,
        max_tokens=None if more is None else low + more,
        min_thoughts=thoughts,
        max_thoughts=None if more_thoughts is None else thoughts + more_thoughts + 1,
        **rest,
    ),
    st.integers(0, 12),
    st.none() | st.integers(0, 12),
    st.integers(0, 4),
    st.none() | st.integers(0, 4),
    extensions=st.integers(0, 3),
    continuations=st.sampled_from([("Wait",), ("Wait, so", "a"), ("\nWait",)]),
    final=st.sampled_from(["", "a1"]),
    answer_tokens=st.none() | st.integers(1, 4),
)


def written(forcing: Forcing, opened: bool, choose: random.Random, most: int = 80) -> tuple[list[int], Writing]:
    """The output of a random model under a budget, in a decoding loop that obeys."""
    writing, output = Writing(forcing, opened), list[int]()
    while len(output) < most and (not output or output[-1] != EOS):
        token = choose.randrange(len(TEXTS))
        if writing.next is not None:
            token = writing.next
        elif writing.target is not None and token in writing.held:
            token = writing.target
        output.append(token)
        writing.read(token)
    return output, writing


def text_of(output: list[int]) -> str:
    return "".join(TEXTS[token] for token in output)


@given(budgets, st.booleans(), st.randoms(use_true_random=False))
def test_no_limit_is_broken_whatever_the_model_writes(budget: Budget, opened: bool, choose: random.Random) -> None:
    forcing = Forcing(budget, THINK, VOCABULARY)
    output, writing = written(forcing, opened, choose)
    parsed = parse(text_of(output).replace("<eos>", ""), opened=opened)
    assert writing.violations == []
    if parsed.thinking is None:
        return
    if budget.max_tokens is not None:
        assert writing.thinking_tokens <= budget.max_tokens
    if parsed.closing:
        full = budget.max_tokens is not None and writing.thinking_tokens >= budget.max_tokens
        enough = budget.max_thoughts is not None and writing.thoughts >= budget.max_thoughts
        assert writing.thinking_tokens >= budget.min_tokens or enough
        assert writing.thoughts >= budget.min_thoughts or full
        assert writing.extensions >= budget.extensions or full or enough
    if "<eos>" in text_of(output) and not parsed.closing:
        assert not forcing.closes, "under a limit no turn ends within the thinking"


@given(budgets, st.booleans(), st.randoms(use_true_random=False), st.integers(0, 80))
def test_the_state_follows_from_the_tokens_alone(budget: Budget, opened: bool, choose: random.Random, cut: int) -> None:
    forcing = Forcing(budget, THINK, VOCABULARY)
    output, writing = written(forcing, opened, choose)
    again, later = Writing(forcing, opened), Writing(forcing, opened)
    for token in output[:cut]:
        again.read(token)
        later.read(token)
    assert (again.next, again.target) == (later.next, later.target)
    for token in output[cut:]:
        again.read(token)
    assert (again.forced, again.violations, again.thinking_tokens) == (writing.forced, [], writing.thinking_tokens)


def test_without_limits_nothing_is_forced_and_nothing_held_back() -> None:
    forcing, choose = Forcing(Budget(), THINK, VOCABULARY), random.Random(1)
    for _ in range(200):
        assert written(forcing, False, choose)[1].forced == []


@given(st.lists(st.integers(1, len(TEXTS) - 1), max_size=60))
def test_thoughts_are_counted_incrementally_as_in_the_whole_text(output: list[int]) -> None:
    writing = Writing(Forcing(Budget(), Delimiters("<think>", ">,>,>,>,>,1"), VOCABULARY), opened=True)
    for count, token in enumerate(output, start=1):
        writing.read(token)
        thoughts = split(text_of(output[:count]))
        starts = [len(text_of(output[:n])) for n in range(count)]
        assert writing.thoughts == sum(bool(thought.text.strip()) for thought in thoughts)
        assert writing.thought_tokens == sum(start >= thoughts[-1].start for start in starts)


def thoughts_done(text: str, opened: bool) -> int:
    parts = parse(text, opened=opened)
    return sum(bool(thought.text.strip()) for thought in (split if parts.closing else complete)(parts.thinking or ""))


@given(st.integers(1, 3), st.booleans(), st.randoms(use_true_random=False))
def test_a_turn_is_ended_after_the_requested_thoughts_and_continued_from_there(more: int, opened: bool, choose: random.Random) -> None:
    forcing, text = Forcing(Budget(), THINK, VOCABULARY), ""
    for _ in range(4):
        parts = parse(text, opened=opened)
        if parts.closing:
            break
        before, inside = thoughts_done(text, opened), parts.thinking is not None
        writing = Writing(forcing, inside, parts.thinking if inside else parts.before, stop_after=more)
        while writing.next is None and writing.position < 80:
            token = choose.randrange(1, len(TEXTS))
            assert parse(text, opened=opened).closing or thoughts_done(text, opened) < before + more
            text += TEXTS[token]
            writing.read(token)
        assert not writing.stopped
        if writing.next is None:
            break
        assert writing.next == EOS and thoughts_done(text, opened) >= before + more and not parse(text, opened=opened).closing
        writing.read(EOS)
        assert writing.stopped and writing.forced == [writing.position - 1] and writing.violations == []


def test_limits_count_from_the_prefix_on() -> None:
    writing = Writing(Forcing(Budget(max_tokens=2), THINK, VOCABULARY), True, "a a a\na\n")
    for token in tokens("a", "a"):
        assert writing.next is None
        writing.read(token)
    assert writing.thinking_tokens == 2 and TEXTS[writing.next] == "</"
    thoughts = Writing(Forcing(Budget(max_thoughts=1), THINK, VOCABULARY), True, "a a a\na\n")
    for token in tokens("a", "\n"):
        assert thoughts.next is None and thoughts.thoughts <= 1
        thoughts.read(token)
    assert thoughts.thoughts == 1 and TEXTS[thoughts.next] == "</"


def test_a_switch_is_found_in_every_spelling_and_by_its_first_token_if_it_has_several() -> None:
    assert {TEXTS[token] for token in VOCABULARY.beginning(("wait", "SO"))} == {"Wait", " so"}
    assert {TEXTS[token] for token in VOCABULARY.beginning(("ai", "th"))} == {"a", " ", "th"}


def tokens(*texts: str) -> list[int]:
    return [TEXTS.index(text) for text in texts]


def reading(budget: Budget, *texts: str, opened: bool = True, delimiters: Delimiters = THINK) -> Writing:
    writing = Writing(Forcing(budget, delimiters, VOCABULARY), opened)
    for token in tokens(*texts):
        writing.read(token)
    return writing


def test_the_end_is_held_back_until_there_are_enough_tokens_of_thinking() -> None:
    early = reading(Budget(min_tokens=3), "a", "a")
    assert TEXTS[early.target] == "Wait" and {"</", " </", "</think>", "<eos>"} == {TEXTS[token] for token in early.held}
    enough = reading(Budget(min_tokens=3), "a", "a", "a")
    assert enough.held == (EOS,), "the turn does not end, the thinking may"
    assert TEXTS[enough.target or 0] == "</"


def test_a_turn_that_would_end_within_the_thinking_ends_the_thinking_first() -> None:
    writing = reading(Budget(max_tokens=9), "a", "</", "th")
    assert writing.held == (EOS,) and TEXTS[writing.target or 0] == "i", "what is written of the end is not begun again"
    writing = reading(Budget(max_tokens=9), "a", "</", "think", ">")
    assert writing.target is None, "after the thinking it ends as it likes"
    assert reading(Budget(), "a").target is None


def test_an_end_in_another_spelling_is_held_back_too() -> None:
    begun = reading(Budget(min_tokens=9), "a", "<")
    assert "/" in {TEXTS[token] for token in begun.held}


def test_an_end_that_has_begun_is_completed_at_the_limit_not_begun_again() -> None:
    writing = reading(Budget(max_tokens=2), "a", "</")
    assert TEXTS[writing.next or 0] == "think" and writing.thinking_tokens == 1
    other = reading(Budget(max_tokens=3), "a", "</", "th")
    while other.next is not None:
        other.read(other.next)
    assert (other.thinking_tokens, other.forced) == (1, [3, 4, 5, 6])
    assert TEXTS[reading(Budget(max_tokens=1), "<").next or 0] == "</", "a sign that may be anything is no end begun"


def test_a_continuation_is_written_to_its_end_and_the_next_one_comes_after_it() -> None:
    budget = Budget(extensions=2, continuations=("Wait, so", "a"))
    writing = reading(budget, "1", "Wait")
    assert TEXTS[writing.next or 0] == ","
    writing = reading(budget, "1", "Wait", ",", " so")
    assert writing.next is None and TEXTS[writing.target or 0] == "a" and writing.forced == [1, 2, 3] and writing.extensions == 1
    assert reading(budget, "1", "Wait", ",", " so", "a").held == (EOS,)


def test_the_answer_has_a_limit_of_its_own_after_the_words_before_it() -> None:
    budget = Budget(max_tokens=1, final="a1", answer_tokens=2)
    writing = reading(budget, "a", "</", "think", ">")
    final = tokens("a", "1")
    assert writing.next is not None
    while writing.next is not None:
        writing.read(writing.next)
    assert text_of([]) == "" and len(writing.forced) == 3 + len(final)
    writing.read(TEXTS.index("1"))
    assert writing.next is None
    writing.read(TEXTS.index("1"))
    assert writing.next == EOS


@pytest.mark.parametrize("opened", [True, False])
def test_no_thinking_at_all_is_an_empty_block(opened: bool) -> None:
    output, _ = written(Forcing(Budget(max_tokens=0), THINK, VOCABULARY), opened, random.Random(3))
    assert text_of(output).startswith("</think>" if opened else "<think></think>")


def test_thoughts_are_limited_where_they_end() -> None:
    budget = Budget(max_thoughts=2)
    assert reading(budget, "a", "\n", " b").next is None
    assert TEXTS[reading(budget, "a", "\n", " b", "\n").next or 0] == "</"
    assert TEXTS[reading(budget, "a", ". ", "Wait", ",", " so", ". ", "Wait", ",").next or 0] == "</"


def test_a_continuation_begins_a_thought() -> None:
    writing = reading(Budget(min_thoughts=3), "a", "Wait", " b", "Wait", " b")
    assert writing.thoughts == 3 and writing.held == (EOS,)
    assert len(split("aWait bWait b")) == 1, "which its words alone do not"


@pytest.mark.parametrize("wrong", [{"min_tokens": 5, "max_tokens": 4}, {"min_thoughts": 3, "max_thoughts": 2}, {"continuations": ()}])
def test_limits_that_exclude_each_other_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Budget(**wrong)  # type: ignore[arg-type]
