"""The coverage ledger, and when a run stops because of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluations import evaluation

from selfimprove.evaluation.ledger import coverage, entries, trend
from selfimprove.evaluation.stopping import StopEarly
from selfimprove.records import Checkpoint, Coverage, GenerationReport, Score


def flat(right: int, samples: int, problems: int = 40) -> Score:
    return evaluation({f"p{n:02}": (right, samples) for n in range(problems)})


def test_newly_solved_forgotten_and_never_solved():
    first = evaluation({"a": (1, 2), "b": (0, 2), "c": (0, 2), "d": (0, 2)})
    refused = evaluation({"a": (1, 2), "b": (0, 2), "c": (1, 2), "d": (0, 2)})
    now = evaluation({"a": (0, 2), "b": (2, 2), "c": (1, 2), "d": (0, 2)})
    found = coverage([first, refused], first, now)
    assert (found.newly_solved, found.forgotten, found.never_solved) == (("b",), ("a",), ("d",))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (flat(0, 4), flat(1, 4), "expansion"),
        (flat(1, 4), flat(3, 4), "sharpening"),
        (flat(3, 4), flat(1, 4), "contraction"),
        (flat(1, 4), flat(0, 4), "contraction"),
        (flat(2, 4), flat(2, 4), "plateau"),
        (flat(0, 1), flat(1, 1), "expansion"),
    ],
)
def test_trends(before, now, expected):
    assert trend(before, now) == expected


def test_more_right_on_fewer_problems_is_a_contraction():
    before = flat(1, 4)
    now = evaluation({f"p{n:02}": (4 if n < 20 else 0, 4) for n in range(40)})
    assert now.pass_at_1 > before.pass_at_1
    assert trend(before, now) == "contraction"


def test_entries_list_every_problem_once():
    rows = entries({"a": (1, 2), "b": (0, 2)}, "train", 3)
    assert [(row.problem_id, row.set, row.generation, row.right, row.samples) for row in rows] == [("a", "train", 3, 1, 2), ("b", "train", 3, 0, 2)]


def report(generation: int, promoted: bool, said: str = "plateau") -> GenerationReport:
    champion, candidate = (Checkpoint(name, str(Path(name)), None, generation, "", "") for name in ("old", f"generation-{generation}"))
    score, changed = flat(1, 1), Coverage((), (), (), said)
    return GenerationReport(generation, champion, candidate, score, candidate if promoted else champion, score, "", {}, {}, {}, {}, coverage=changed)


def test_a_plateau_is_a_number_of_refused_candidates_in_a_row():
    base, stop = report(0, True), StopEarly(patience=2)
    assert stop.reason([base]) is None
    assert stop.reason([base, report(1, False)]) is None
    assert stop.reason([base, report(1, False), report(2, True), report(3, False)]) is None
    assert "plateau" in (stop.reason([base, report(1, True), report(2, False), report(3, False)]) or "")
    assert StopEarly(patience=None).reason([base, *(report(n, False) for n in range(1, 9))]) is None


def test_a_contraction_stops_at_once_unless_told_otherwise():
    reports = [report(0, True), report(1, False, "contraction")]
    assert StopEarly().reason(reports) == "generation 1 is a contraction"
    assert StopEarly(on_contraction=False).reason(reports) is None
