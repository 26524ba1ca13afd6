"""Evaluation questions are kept out of training."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfimprove import ReasoningGym
from selfimprove.problems.split import split
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


STORY = (
    "Ana walks to the market every morning and buys 6 fresh apples, 3 ripe pears and a loaf of bread for her old neighbour Tom. How many pieces of"
    " fruit does Ana carry home after 14 days, if Tom's dog steals one apple on every second day?"
)


def changed_words(text: str, every: int) -> str:
    """The text with another word at every such place; numbers stay."""
    return " ".join("thing" if place % every == every - 1 and not word.isdigit() else word for place, word in enumerate(text.split()))


@pytest.mark.parametrize(
    "told",
    [
        STORY.upper(),
        STORY.replace(",", "").replace(".", "").replace("?", ""),
        STORY.replace(" ", ", "),
        STORY.replace(". ", " - ").replace("?", " ..."),
        f"**{STORY}**",
        STORY.replace("Tom's", "Tom’s"),
        STORY.replace("Ana", "Zoë"),
        STORY.replace("Ana", "Mr. Kim").replace("Tom", "Lee"),
        changed_words(STORY, 12),
        "".join(sign + "\u200b" for sign in STORY),
        STORY.replace("a", "\u00ada"),
        STORY.replace("e", "\u0435"),  # Cyrillic
        STORY.replace("o", "\u03bf"),  # Greek
        STORY.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)}),  # full width
        STORY.replace("e", "e\u0301"),
        STORY.replace("fi", "\ufb01"),
        STORY.replace(" ", "\u00a0"),
        STORY.replace(" ", "\n"),
        f"Let me restate the task. {changed_words(STORY, 12)} First, 6 + 3 = 9, and so on.",
        " ".join(STORY.split()[:-6]),
    ],
    ids=[str(number) for number in range(20)],
)
def test_a_question_in_disguise_is_given_away(told):
    index = EvalIndex(Contamination(), [problem(STORY)])
    assert index.given_away(told) == "evaluation-1"


@pytest.mark.parametrize(
    "other",
    [
        STORY.replace("6", "8").replace("3", "5").replace("14", "21"),
        "Ana walks to the market and buys 6 apples, 3 pears and 14 eggs. How many things does Ana carry home?",
        "How many pieces of fruit does Ana carry home?",
        "",
        " ".join(reversed(STORY.split())),
    ],
)
def test_another_problem_about_the_same_is_not_given_away(other):
    index = EvalIndex(Contamination(n=13, share=0.9), [problem(STORY)])
    assert index.given_away(other) is None


def test_without_a_search_for_near_duplicates_a_word_in_twelve_hides_a_question():
    assert EvalIndex(Contamination(near=None), [problem(STORY)]).given_away(changed_words(STORY, 12)) is None


@pytest.mark.parametrize(
    ("evaluation", "text", "found"),
    [
        ("What is 3 + 2?", "What is 3 + 2 + 5?", False),
        ("What is 3 + 2?", "What is 3 + 2", True),
        ("What is 3 + 2?", "what is 3 × 2?", False),
        ("What is 3 × 2?", "what is 3 * 2!", True),
        ("What is 1,000 - 2?", "What is 1000 − 2?", True),
        ("What is 3.5 + 2?", "What is 3 5 + 2?", False),
        ("What is 5 + 3 + 2?", "What is 3 + 2?", False),
    ],
)
def test_a_short_question_counts_as_a_whole(evaluation, text, found):
    assert (EvalIndex(Contamination(), [problem(evaluation)]).given_away(text) is not None) == found


def test_what_many_evaluation_questions_share_is_their_template():
    template = (
        "Your task is to sort the words of a list in ascending order by their code points, and to give them back with commas between them: {}. "
    )
    lists = [f"w{number}a, x{number}b, y{number}c" for number in range(40)]
    index = EvalIndex(Contamination(), [problem(template.format(words), f"e{place}") for place, words in enumerate(lists[:20])])
    others = [problem(template.format(words), f"t{place}") for place, words in enumerate(lists[20:])]
    assert index.clean_problems(others) == others
    assert index.clean_problems([problem(template.format(words)) for words in lists[:20]]) == []


def test_signs_make_the_question_where_there_is_little_else():
    evaluation = [problem(f"Close the brackets: {signs}", f"e{place}") for place, signs in enumerate(("( ( [ {", "[ { ( (", "{ { [ (", "( [ [ ["))]
    index = EvalIndex(Contamination(), evaluation)
    assert index.given_away("Close the brackets: ( ( [ {") == "e0"
    assert index.given_away("Close the brackets: ( ( { [") is None


TASKS = ("word_sorting", "coin_flip", "needle_haystack", "palindrome_generation", "string_insertion", "rectangle_count", "time_intervals")


@pytest.mark.parametrize("task", TASKS)
def test_a_task_of_reasoning_gym_keeps_its_problems_and_drops_copies(task):
    training, evaluation = split(ReasoningGym(task, size=200).load(), 50, 0)
    index = EvalIndex(Contamination(), evaluation)
    assert len(index.clean_problems(training)) > 140
    assert index.clean_problems(evaluation) == []


def test_the_time_of_a_look_up_does_not_grow_with_the_evaluation():
    questions = [
        f"Give the final answer to this arithmetic problem, in one line and without a word: {n} + {n * 7 % 91} - {n % 13} =" for n in range(8000)
    ]
    training = [problem(question, f"t{place}") for place, question in enumerate(questions[4000:6000])]
    times = []
    for size in (500, 4000):
        index = EvalIndex(Contamination(), [problem(question, f"e{place}") for place, question in enumerate(questions[:size])])
        began = time.process_time()
        index.clean_problems(training)
        times.append(time.process_time() - began)
    assert times[1] < 3 * times[0] + 0.2


def test_a_template_in_other_words_does_not_hide_a_question():
    template = "Your task is to give the final answer to the following arithmetic problem, in one line and without any words: {}. Take your time."
    index = EvalIndex(Contamination(), [problem(template.format(f"{n} + {n * 7} - {n % 5} + {n % 7}"), f"e{n}") for n in range(20, 60)])
    told = template.format("33 + 231 - 3 + 5")
    assert index.given_away(told.replace("final", "last").replace("problem", "question")) == "e33"
    assert index.given_away(told.replace("231", "232")) is None
