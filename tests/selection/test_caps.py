"""Limits on accepted traces: duplicates, order of preference, problems and difficulty."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfimprove import Caps
from selfimprove.records import AcceptedTrace
from selfimprove.selection.caps import EligibleRow

LONG = "first take the seven apples and then put three more beside them so that there are ten of them on the table in the end"


def row(name: str, text: str = "", tokens: int = 1, switches: int = 0, problem: str = "p") -> EligibleRow:
    return EligibleRow(AcceptedTrace(name, problem, (), text or name, "sampled", 1), tokens, switches)


def names(caps: Caps, *rows: EligibleRow) -> list[str]:
    return [row.trace_id for row in caps.keep(rows, {})[0]]


def test_without_limits_all_are_kept() -> None:
    both = row("b", "same"), row("a", "same")
    assert Caps().keep(both, {}) == ([both[1].row, both[0].row], {})


def test_similar_traces_of_one_problem_count_once() -> None:
    group = [row("a", LONG), row("b", LONG.replace("end", "END")), row("c", "4 + 3 = 7."), row("d", LONG, problem="q")]
    assert names(Caps(near_duplicates=0.8), *group) == ["a", "c", "d"]
    assert Caps(near_duplicates=0.8).keep(group, {})[1] == {"duplicate": 1}
    assert names(Caps(near_duplicates=1), *group) == ["a", "b", "c", "d"], "1 drops only equal completions"
    assert names(Caps(near_duplicates=1), *group[:1], row("z", LONG)) == ["a"]


@pytest.mark.parametrize(("prefer", "chosen"), [("first", ["a", "b"]), ("short", ["b", "c"]), ("steady", ["a", "c"]), ("diverse", ["a", "d"])])
def test_a_cap_keeps_the_preferred_traces(prefer: str, chosen: list[str]) -> None:
    group = [
        row("a", LONG, tokens=9, switches=0),
        row("b", LONG + " of it", tokens=3, switches=4),
        row("c", "so " + LONG, tokens=2, switches=1),
        row("d", "ten is what seven and three come to, whichever way one counts", tokens=8, switches=2),
    ]
    assert names(Caps(prefer=prefer, per_problem=2), *group) == chosen  # type: ignore[arg-type]
    assert Caps(per_problem=3).keep(group, {})[1] == {"over cap": 1}


def test_easy_problems_get_no_more_than_the_share_of_their_bin() -> None:
    easy = [row(f"e{n}", problem=f"e{n}") for n in range(8)]
    hard = [row(f"h{n}", problem=f"h{n}") for n in range(2)]
    rates = {f"e{n}": 1.0 for n in range(8)} | {f"h{n}": 0.2 for n in range(2)}
    kept, drops = Caps(difficulty_bins=2).keep([*easy, *hard], rates)
    assert Counter(row.trace_id[0] for row in kept) == {"e": 5, "h": 2} and drops == {"over bin": 3}


@given(
    st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from(["a b c d", "a b c e", "x y z", "x"]), st.integers(0, 5)), max_size=14),
    st.builds(
        Caps,
        near_duplicates=st.none() | st.sampled_from([0.3, 1.0]),
        prefer=st.sampled_from(["first", "short", "steady", "diverse"]),
        per_problem=st.none() | st.integers(1, 3),
        difficulty_bins=st.none() | st.integers(1, 4),
    ),
)
def test_every_trace_is_kept_once_or_counted_once_whatever_the_order(drawn: list[tuple[str, str, int]], caps: Caps) -> None:
    group = [row(f"{number:02d}", text, tokens, tokens % 3, problem) for number, (problem, text, tokens) in enumerate(drawn)]
    rates = {"p": 0.1, "q": 0.6, "r": 1.0}
    kept, drops = caps.keep(group, rates)
    assert len(kept) + sum(drops.values()) == len(group) and len({row.trace_id for row in kept}) == len(kept)
    assert caps.keep(group[::-1], rates) == (kept, drops)
    if caps.per_problem:
        assert all(count <= caps.per_problem for count in Counter(row.problem_id for row in kept).values())
