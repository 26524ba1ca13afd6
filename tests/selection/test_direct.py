"""Direct rows: the answer of a trace after an empty block, which carries no loss."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import SIGNS

from selfimprove.checkpoints.empty_block import EmptyBlock
from selfimprove.records import AcceptedTrace
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.selection.direct import direct_rows, is_direct, source_id, wanted_rows
from selfimprove.thinking.traces import parse

spaces = st.sampled_from(("", "\n", " ", "\n\n"))
answers = st.sampled_from(("9", "-4", "x = 2", "a\nb", "Wait, 5"))
delimiters = st.sampled_from((THINK, Delimiters("[[", "]]"), Delimiters("<|a|>", "<|b|>")))


def encode(text: str) -> list[int]:
    return [SIGNS.index(sign) for sign in text]


def block(text: str) -> EmptyBlock:
    return EmptyBlock(text, tuple(encode(text)))


def row(name: str, completion: str, problem: str = "p") -> AcceptedTrace:
    return AcceptedTrace(name, problem, ({"role": "user", "content": "?"},), completion, "sampled", 3, (1, 2), ((0, 1),))


def made(rows: list[AcceptedTrace], wanted: int = 9, marks: Delimiters = THINK, own: EmptyBlock | None = None, seed: int = 0) -> list[AcceptedTrace]:
    def blocks(opened: bool) -> list[EmptyBlock]:
        return [block(marks.end if opened else marks.begin + marks.end), *([own] if own else [])]

    return direct_rows(rows, wanted, marks, blocks, encode, seed)


@settings(max_examples=60, deadline=None)
@given(marks=delimiters, opened=st.booleans(), own=st.booleans(), before=spaces, after=spaces, texts=st.lists(answers, min_size=1, max_size=5))
def test_a_direct_row_answers_as_its_trace_does_and_only_the_answer_has_a_loss(
    marks: Delimiters, opened: bool, own: bool, before: str, after: str, texts: list[str]
) -> None:
    opening = "" if opened else before + marks.begin
    rows = [row(f"t{number}", f"{opening}\n1 + 1 = 2.\n{marks.end}{after}{text}", f"p{number}") for number, text in enumerate(texts)]
    switch = block(f"{marks.begin}\n\n{marks.end}\n\n") if own and not opened else None
    found = made(rows, marks=marks, own=switch)
    assert len(found) == len(rows) and found == made(rows[::-1], marks=marks, own=switch), "the order of the rows does not matter"
    for one in found:
        trace = next(row for row in rows if row.trace_id == source_id(one))
        parts = parse(one.completion, marks, opened)
        assert is_direct(one) and one.messages == trace.messages and one.generation == trace.generation and not is_direct(trace)
        assert parts.flags == {"empty"} and not parts.before and parts.answer == parse(trace.completion, marks, opened).answer
        assert one.completion_token_ids == tuple(encode(one.completion)) and one.forced[0][0] == 0 and len(one.forced) == 1
        silent = one.completion[: one.forced[0][1]]
        assert silent in {marks.end if opened else marks.begin + marks.end, *([switch.text] if switch else [])}
        # After a block that ends its line, the answer begins at once.
        assert one.completion[len(silent) :] == (parts.after if switch is None or silent != switch.text else parts.after.lstrip())
    if switch and len(texts) > 1:
        assert {switch.text in one.completion for one in found} == {True, False}


def test_a_problem_gets_each_answer_once_and_a_draw_is_seeded() -> None:
    rows = [row(f"t{number}", f"<think>\n{number}\n</think>\n{number % 2}", f"p{number // 6}") for number in range(12)]
    assert len(made(rows)) == 4
    draws = {tuple(one.trace_id for one in made(rows, 2, seed=seed)) for seed in range(12)}
    assert len(draws) > 3 and all(len(draw) == 2 for draw in draws)
    assert not made(rows, 0)


@pytest.mark.parametrize("completion", ["9", "<think>\n\n</think>\n9", "<think>\nnever", "<think>a</think>", "<think>a</think>9<think>b</think>8"])
def test_a_row_without_one_closed_block_that_holds_something_is_passed_over(completion: str) -> None:
    assert not made([row("t", completion)])


@pytest.mark.parametrize(("rows", "share", "wanted"), [(80, 0.2, 20), (100, 0.0, 0), (7, 0.3, 3), (10, 0.5, 10), (0, 0.9, 0)])
def test_the_share_is_of_all_rows(rows: int, share: float, wanted: int) -> None:
    assert wanted_rows(rows, share) == wanted
