"""Behaviours are marked by a table of cues; how well is measured on labelled thoughts (`pytest -s` shows the tables).

The cues were written on the development part. The held-out part was written before any of them, and none was changed after a look at it. Both parts
are of one hand, so that the figures say little of a model with habits of its own.

A label says what the thought does: `plan`: what is asked or will be done, without doing it; `confirmation`: agrees and goes on; `reflection`:
evaluates what was found; `revision`: casts doubt on it, puts it right, or tries another way; `conclusion`: states the answer; `step`: all the rest.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from selfimprove.thinking.behaviours import CUES, Behaviour, Behaviours, Cue
from selfimprove.thinking.thoughts import split

HERE = Path(__file__).parent
PARTS = {"development": 0.85, "held_out": 0.75}
"""Minimum precision and recall of every class."""


def labelled(part: str) -> list[list[dict[str, str]]]:
    """The traces of a part, each a list of labelled thoughts."""
    rows = [json.loads(line) for line in (HERE / f"behaviours_{part}.jsonl").read_text().splitlines()]
    return [list(trace) for _, trace in itertools.groupby(rows, key=lambda row: row["trace"])]


def confusion(part: str) -> Counter[tuple[Behaviour, Behaviour]]:
    """Number of thoughts with each label and mark."""
    pairs: Counter[tuple[Behaviour, Behaviour]] = Counter()
    for trace in labelled(part):
        marks = Behaviours().mark([row["text"] for row in trace])
        pairs.update((Behaviour(row["behaviour"]), mark) for row, mark in zip(trace, marks, strict=True))
    return pairs


def figures(pairs: Counter[tuple[Behaviour, Behaviour]]) -> dict[Behaviour, tuple[float, float, int]]:
    """Precision, recall and number of labelled thoughts, by class."""
    found = {}
    for behaviour in Behaviour:
        right = pairs[behaviour, behaviour]
        marked = sum(count for (_, mark), count in pairs.items() if mark is behaviour)
        there = sum(count for (label, _), count in pairs.items() if label is behaviour)
        found[behaviour] = (right / max(1, marked), right / max(1, there), there)
    return found


@pytest.mark.parametrize("part", PARTS)
def test_behaviours_are_marked_as_people_label_them(part: str) -> None:
    pairs = confusion(part)
    total, right = sum(pairs.values()), sum(count for (label, mark), count in pairs.items() if label is mark)
    print(f"\n{part}: {total} thoughts, {right / total:.3f} marked as labelled\nmoment        precision  recall  thoughts")
    for behaviour, (precision, recall, thoughts) in figures(pairs).items():
        print(f"{behaviour:<12}  {precision:9.3f}  {recall:6.3f}  {thoughts:8}")
    for behaviour, (precision, recall, thoughts) in figures(pairs).items():
        assert thoughts >= 5 and min(precision, recall) >= PARTS[part], behaviour


@pytest.mark.parametrize("part", PARTS)
def test_thoughts_are_split_as_people_do(part: str) -> None:
    right = found = there = 0
    for trace in labelled(part):
        lengths = [len(row["text"] + row["after"]) for row in trace]
        starts = set(itertools.accumulate(lengths[:-1]))
        marked = {thought.start for thought in split("".join(row["text"] + row["after"] for row in trace))[1:]}
        right, found, there = right + len(starts & marked), found + len(marked), there + len(starts)
    print(f"\n{part}: boundaries: precision {right / found:.3f}, recall {right / there:.3f}, {there} labelled")
    assert min(right / found, right / there) > 0.9


def test_the_parts_share_no_thought_and_are_large_enough() -> None:
    development, eval_problems = ({row["text"] for trace in labelled(part) for row in trace} for part in PARTS)
    assert not development & eval_problems and len(development | eval_problems) >= 160


@pytest.mark.parametrize(
    ("thought", "behaviour"),
    [
        ("Okay, so I need to find x.", Behaviour.PLAN),
        ("Right, that leaves 12.", Behaviour.CONFIRMATION),
        ("Is that correct? Yeah, 3 * 4 is 12.", Behaviour.REFLECTION),
        ("Wait, it says minus.", Behaviour.REVISION),
        ("But wait.", Behaviour.REVISION),
        ("Alternatively, count the pairs.", Behaviour.REVISION),
        ("That can’t be right.", Behaviour.REVISION),
        ("So the answer is 12.", Behaviour.CONCLUSION),
        ("12 * 3 = 36. Let me check that: 36 / 3 = 12. So the answer is 36.", Behaviour.REFLECTION),
        ("Wait for 5 minutes.", Behaviour.STEP),
        ("The right angle is at C.", Behaviour.STEP),
        ("Thus x + 3 = 10.", Behaviour.STEP),
        ("", Behaviour.STEP),
    ],
)
def test_the_first_sentence_that_shows_a_cue_decides(thought: str, behaviour: Behaviour) -> None:
    assert Behaviours().mark([thought, "4 + 3 = 7."])[0] is behaviour


def test_a_conclusion_by_position_counts_in_the_last_thought_only() -> None:
    assert Behaviours().mark(["So x = 3.", "So y = 4."]) == [Behaviour.STEP, Behaviour.CONCLUSION]


def test_a_custom_table_replaces_the_default() -> None:
    mine = Behaviours(cues=(Cue(Behaviour.REVISION, "scrap that"), *CUES))
    assert mine.mark(["Scrap that, it is 4.", "Right."]) == [Behaviour.REVISION, Behaviour.CONFIRMATION]
    assert Behaviours(cues=()).mark(["Wait, no.", "So the answer is 4."]) == [Behaviour.STEP, Behaviour.STEP]
    with pytest.raises(ValidationError, match="not a regular expression"):
        Cue(Behaviour.PLAN, "(")


@given(st.lists(st.text(max_size=40), max_size=6), st.lists(st.text(max_size=40), max_size=3))
def test_marks_of_complete_thoughts_stay_when_a_trace_grows(thoughts: list[str], more: list[str]) -> None:
    complete = len(thoughts) - 1 if thoughts else 0
    assert Behaviours().mark([*thoughts, *more])[:complete] == Behaviours().mark(thoughts)[:complete]


@pytest.mark.parametrize(
    "piece", ["so ", "hm", "so, ", "is ", "is that ", "wait ", "first ", "let me ", "to solve ", "the ", "okay, so ", "a. ", "\n", '."', "that "]
)
def test_time_is_linear_in_the_text(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    start = time.process_time()
    Behaviours().mark([text])
    assert time.process_time() - start < 10
