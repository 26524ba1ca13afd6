"""Evaluation questions are kept out of training."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfimprove.records import AcceptedTrace, Problem
from selfimprove.selection.contamination import Contamination, EvalIndex

WORDS = st.lists(st.text("abcdef", min_size=2, max_size=4), min_size=1, max_size=40)


def problem(question: str, name: str = "evaluation-1") -> Problem:
    return Problem(name, question, "5", "test")


def row(question: str, completion: str) -> AcceptedTrace:
    return AcceptedTrace("p/g1/s0", "p", ({"role": "system", "content": "s"}, {"role": "user", "content": question}), completion, "sampled", 1)


@given(WORDS, WORDS, WORDS)
def test_a_text_that_quotes_the_whole_question_gives_it_away(before, question, after):
    index = EvalIndex(Contamination(), [problem(" ".join(question))])
    assert index.given_away(" ".join([*before, *question, *after])) == "evaluation-1"
    assert index.given_away(" ".join(question).upper() + "  ") == "evaluation-1"


@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=20), st.lists(st.text("xyz", min_size=1, max_size=3), max_size=60))
def test_a_text_without_a_common_word_gives_nothing_away(question, text):
    assert EvalIndex(Contamination(), [problem(" ".join(question))]).given_away(" ".join(text)) is None


def test_questions_of_one_template_do_not_give_each_other_away():
    template = "State the final answer to the following arithmetic problem: {} ="
    index = EvalIndex(Contamination(), [problem(template.format("4 + 3 - 2"))])
    others = [problem(template.format(sum_), sum_) for sum_ in ("4 + 3 - 5", "4 + 3", "1 + 4 + 3", "4 + 3 + 2")]
    assert index.clean_problems(others) == others
    assert index.clean_problems([problem(template.format("4 + 3 - 2") + " ?")]) == []


def test_a_long_question_is_given_away_by_most_of_its_n_grams():
    words = [f"w{number}" for number in range(40)]
    index = EvalIndex(Contamination(n=13, share=0.5), [problem(" ".join(words))])
    assert index.given_away(" ".join(words[:30])) == "evaluation-1"
    assert index.given_away(" ".join(words[:20])) is None


@pytest.mark.parametrize(
    ("question", "completion", "kept"), [("What is 2 + 2?", "4", 1), ("Other?", "What is 3 + 2? It is 5.", 0), ("What is 3 + 2?", "5", 0)]
)
def test_rows_are_dropped_for_their_question_or_their_completion(question, completion, kept):
    index = EvalIndex(Contamination(), [problem("What is 3 + 2?")])
    assert len(index.clean_rows([row(question, completion)])) == kept
