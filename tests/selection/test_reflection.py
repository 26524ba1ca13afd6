"""Revisions and confirmations made of single traces, and first attempts read back from them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import toy_workflow

from selfimprove import KeepMajority
from selfimprove.records import AcceptedTrace, AnnotatedTrace, Outcome, Probe, Trace, Verdict
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.selection.first_attempt import first_attempt
from selfimprove.selection.first_mistake import first_wrong_step
from selfimprove.selection.reflection import CONFIRMED, REVISED, Draft, Reflection, drafts
from selfimprove.thinking.behaviours import CUES, Behaviour, Behaviours, Cue
from selfimprove.thinking.thoughts import split
from selfimprove.thinking.traces import parse

LINES = ("7 + 5 = 12.", "12 - 3 = 9.", "I take the sum first.", "So 3 are left.", "Also, $x^2$ is odd:", "é ≤ ü, 日本 {a}", "```\ncode\n```", "= 4")
thoughts = st.lists(st.sampled_from(LINES), min_size=1, max_size=5).map(lambda lines: "\n".join(lines))
spaces = st.sampled_from(("", "\n", " \n\n", "\n\t"))
delimiters = st.sampled_from((THINK, Delimiters("<reason>", "</reason>"), Delimiters("[[", "]]")))


def row(name: str, completion: str, generation: int = 2) -> AcceptedTrace:
    return AcceptedTrace(name, "p", ({"role": "user", "content": "?"},), completion, "sampled", generation, (1, 2))


def wrong(name: str, text: str, marks: Delimiters = THINK, **more: object) -> AnnotatedTrace:
    trace = Trace(name, "p", "m", (), (), text, (), "stop", 1.0, 0, marks)
    return AnnotatedTrace(trace, Verdict(name, Outcome.WRONG, "0", "v", "1", 0.0), **more)


@settings(max_examples=60, deadline=None)
@given(
    first=thoughts, second=thoughts, mistaken=thoughts, before=spaces, after=spaces, marks=delimiters, opened=st.booleans(), seed=st.integers(0, 9)
)
def test_a_draft_has_the_form_of_the_right_trace_and_its_spans_are_the_wrong_thoughts(
    first: str, second: str, mistaken: str, before: str, after: str, marks: Delimiters, opened: bool, seed: int
) -> None:
    opening = "" if opened else marks.begin
    right = [row(name, f"{opening}{before}{text}{after}{marks.end}\n9") for name, text in (("a", first), ("b", second))]
    other = [(2, wrong("c", f"{marks.begin}{mistaken}{marks.end}8", marks))]
    rule = Reflection(per_problem=3)
    made = list(drafts(rule, right, other, marks, 2, seed))
    assert made == list(drafts(rule, right, other, marks, 2, seed))
    for draft in made:
        parts, of_right = (parse(text, marks, opened) for text in (draft.text, draft.row.completion))
        assert not parts.flags and (parts.opening, parts.closing, parts.after) == (of_right.opening, of_right.closing, of_right.after)
        thinking, ends = parts.thinking or "", (of_right.thinking or "").strip()
        cues = rule.revisions if draft.wrong else rule.checks
        assert any(f"\n{cue}\n" in thinking for cue in cues) and draft.opened == opened
        if draft.wrong:
            part = draft.text[slice(*draft.wrong)]
            assert draft.origin == REVISED and part and part == part.strip() and mistaken.startswith(part) and thinking.strip().endswith(ends)
        else:
            assert draft.origin == CONFIRMED and thinking.strip().startswith(ends) and thinking.strip().endswith(rule.agreements)
    assert sum(draft.origin == CONFIRMED for draft in made) <= 2 and sum(draft.origin == REVISED for draft in made) <= 2


def test_thoughts_that_both_traces_have_are_never_taken_for_the_mistake() -> None:
    right = split("7 + 5 = 12.\n12 - 3 = 9.")
    for seed in range(8):
        mistaken = "7 + 5 = 12\n12 - 3 is odd.\nSo 8."
        place = first_wrong_step(wrong("c", mistaken), split(mistaken), right, random.Random(seed))
        assert place in (1, 2)
    assert first_wrong_step(wrong("c", ""), right, split("7 + 5 = 12\n12 - 3 = 9"), random.Random(0)) is None


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"probes": tuple(Probe("c", n, n, right, 4) for n, right in enumerate((4, 3, 0, 1)))}, 2),
        ({"rewards": (0.9, 0.3, 0.2, 0.1)}, 1),
        ({"probes": tuple(Probe("c", n, n, 0, 4) for n in range(4)), "rewards": (0.9, 0.8, 0.7, 0.1)}, 3),
    ],
)
def test_probes_and_step_rewards_tell_where_no_equation_is_false(more: dict[str, object], place: int) -> None:
    text = "We begin.\nThen it grows.\nThen it shrinks.\nIt ends."
    assert first_wrong_step(wrong("c", text, **more), split(text), (), random.Random(0)) == place
    false = text.replace("We begin.", "1 + 1 = 3.")
    assert first_wrong_step(wrong("c", false, **more), split(false), (), random.Random(0)) == 0


def made(rule: Reflection, right: list[AcceptedTrace], other: list[tuple[int, AnnotatedTrace]]) -> list[Draft]:
    return list(drafts(rule, right, other, THINK, 2, 0))


def test_each_draft_has_a_trace_of_this_generation_and_none_is_made_of_another_draft() -> None:
    old, new = row("a", "<think>1 + 1 = 2.</think>2", 1), row("b", "<think>2 = 1 + 1.</think>2", 2)
    mistake = wrong("c", "<think>1 + 1 = 3.</think>3")
    assert not made(Reflection(), [old], [(1, mistake)])
    assert [draft.origin for draft in made(Reflection(), [old], [(2, mistake)])] == [REVISED]
    assert [draft.origin for draft in made(Reflection(), [old, new], [(1, mistake)])] == [REVISED, CONFIRMED]
    reflected = AcceptedTrace("d", "p", (), "<think>Wait, 1 + 1 = 2.</think>2", "revised, off-policy", 2)
    assert not made(Reflection(), [reflected], [(2, mistake)])
    assert [draft.origin for draft in made(Reflection(same_thoughts=True), [new], [])] == [CONFIRMED]
    assert not made(Reflection(revised=0, confirmed=0, same_thoughts=True), [old, new], [(2, mistake)])


def test_a_cue_that_no_figure_would_count_is_refused() -> None:
    assert not list(Reflection().unmarked(Behaviours()))
    own, behaviours = Reflection(revisions=("Scrap that.",)), Behaviours((Cue(Behaviour.REVISION, "scrap that"), *CUES))
    with pytest.raises(ValueError, match=r"reflection.revisions: 'Scrap that.' is marked as step, not as revision; add a Cue for it"):
        toy_workflow(Path("model"), reflection=own)
    assert toy_workflow(Path("model"), reflection=own, behaviours=behaviours).reflection == own


def test_joining_right_and_wrong_traces_takes_reference_answers_and_measuring_does_not() -> None:
    label_free = toy_workflow(Path("model"), selector=KeepMajority(), answer_only_baseline=False)
    assert not label_free.needs_reference and replace(label_free, reflection=Reflection()).needs_reference
    assert not replace(label_free, reflection=Reflection(revised=0, confirmed=0)).needs_reference


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ("7 + 5 = 12.\n12 - 3 = 9.", None),
        ("7 + 5 = 13.\nWait, that is not right.\n7 + 5 = 12.", ("13", True, False, True)),
        ("7 + 5 = 12.\nWait, is that right?\n7 + 5 = 12.\nThat checks out.", ("12", False, False, False)),
        ("7 + 5 = 12.\nLet me check that.\nHold on, that is wrong.\nThat checks out.\nWait, no.", ("12", False, False, True)),
        ("So the answer is -4.\nLet me double-check.", ("-4", False, True, False)),
        ("We add.\nWait, no.", (None, False, False, True)),
        ("Wait, is that right?", (None, False, False, True)),
        ("x = 3 + 4.\nLet me check that.", (None, False, False, False)),
    ],
)
def test_a_first_attempt_is_what_is_stated_before_the_trace_looks_back(thinking: str, expected: tuple[object, ...] | None) -> None:
    found = first_attempt(Trace("t", "p", "m", (), (), f"<think>\n{thinking}\n</think>\n9", (), "stop", 0.0, 0), Behaviours())
    assert (found and (found.result, found.errs, found.concludes, found.revised)) == expected
