"""Pairs of right and wrong traces, and training data for a verifier."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from selfimprove.records import AcceptedTrace, JudgedTrace, Outcome, Pair, Trace, Verdict, VerifierRow
from selfimprove.selection.preference_pairs import pair_up, verifier_rows
from selfimprove.storage.files import read_records, write_records

SAMPLED = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Outcome), st.integers(0, 3), st.sampled_from(["stop", "length"])), max_size=30)


def judged(sampled: list[tuple[str, Outcome, int, str]]) -> list[JudgedTrace]:
    traces = [
        Trace(f"{problem}/g1/s{place}", problem, "m", (1,), (2, 3), f"{outcome} {variant}", ((0, 1),), finish, 0.8, place)
        for place, (problem, outcome, variant, finish) in enumerate(sampled)
    ]
    return [
        JudgedTrace(trace, Verdict(trace.id, outcome, "7", "v", "1", outcome.score))
        for trace, (_, outcome, _, _) in zip(traces, sampled, strict=True)
    ]


def accepted(items: list[JudgedTrace]) -> list[AcceptedTrace]:
    return [
        AcceptedTrace(
            item.trace.id, item.trace.problem_id, ({"role": "user", "content": item.trace.problem_id},), item.trace.text, "sampled", 1, (2, 3)
        )
        for item in items
        if item.verdict.outcome is Outcome.CORRECT
    ]


@given(SAMPLED, st.integers(1, 3), st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_pair_is_a_right_and_a_wrong_trace_of_one_problem(
    sampled: list[tuple[str, Outcome, int, str]], most: int, seed: int, chance: random.Random
) -> None:
    items = judged(sampled)
    of_id = {item.trace.id: item for item in items}
    pairs = pair_up(accepted(items), items, most, seed)
    for pair in pairs:
        chosen, rejected = of_id[pair.chosen_id], of_id[pair.rejected_id]
        assert chosen.trace.problem_id == rejected.trace.problem_id == pair.problem_id == pair.messages[-1]["content"]
        assert chosen.verdict.outcome is Outcome.CORRECT and rejected.verdict.outcome is Outcome.WRONG
        assert (pair.chosen, pair.rejected) == (chosen.trace.text, rejected.trace.text) and rejected.trace.finish_reason == "stop"
        assert pair.rejected_token_ids == rejected.trace.output_token_ids and pair.rejected_forced == ((0, 1),)
    assert max(Counter(pair.problem_id for pair in pairs).values(), default=0) <= most
    assert len({(pair.problem_id, pair.chosen, pair.rejected) for pair in pairs}) == len(pairs)
    for problem in "abc":
        right = {item.trace.text for item in items if item.trace.problem_id == problem and item.verdict.outcome is Outcome.CORRECT}
        ended = [item for item in items if item.trace.problem_id == problem and item.trace.finish_reason == "stop"]
        wrong = {item.trace.text for item in ended if item.verdict.outcome is Outcome.WRONG}
        assert sum(pair.problem_id == problem for pair in pairs) == min(most, len(right) * len(wrong))

    chance.shuffle(items)
    assert pair_up(accepted(items), items, most, seed) == pairs


@given(SAMPLED, st.integers(2, 5), st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_verifier_sees_as_many_right_traces_of_a_problem_as_wrong_ones(
    sampled: list[tuple[str, Outcome, int, str]], most: int, seed: int, chance: random.Random
) -> None:
    items = list(enumerate(judged(sampled), start=1))
    of_id = {item.trace.id: (generation, item) for generation, item in items}
    questions = {problem: f"what is {problem}?" for problem in "abc"}
    rows = verifier_rows(items, questions, most, seed)
    for row in rows:
        generation, item = of_id[row.trace_id]
        assert (row.problem_id, row.trace, row.generation, row.answer) == (item.trace.problem_id, item.trace.text, generation, "7")
        assert row.question == questions[row.problem_id]
        assert item.verdict.outcome is (Outcome.CORRECT if row.right else Outcome.WRONG)
    assert len({(row.problem_id, row.trace) for row in rows}) == len(rows)
    for problem in "abc":
        texts = {
            outcome: {item.trace.text for _, item in items if item.trace.problem_id == problem and item.verdict.outcome is outcome}
            for outcome in (Outcome.CORRECT, Outcome.WRONG)
        }
        each = min(len(texts[Outcome.CORRECT]), len(texts[Outcome.WRONG]), most // 2)
        assert Counter(row.right for row in rows if row.problem_id == problem) == ({True: each, False: each} if each else {})

    chance.shuffle(items)
    again = verifier_rows(items, questions, most, seed)
    assert [(row.problem_id, row.trace, row.right) for row in again] == [(row.problem_id, row.trace, row.right) for row in rows]


def test_an_accepted_trace_is_never_the_rejected_one() -> None:
    items = judged([("a", Outcome.WRONG, variant, "stop") for variant in (0, 0, 1, 2)])
    rows = [replace(row, completion=items[0].trace.text) for row in accepted(judged([("a", Outcome.CORRECT, 0, "stop")]))]
    pairs = pair_up(rows, items, 9, 0)
    assert {pair.rejected_id for pair in pairs} == {"a/g1/s2", "a/g1/s3"}


def test_another_seed_draws_other_pairs_and_rows() -> None:
    items = judged([("a", outcome, variant, "stop") for outcome in (Outcome.CORRECT, Outcome.WRONG) for variant in range(4)])
    drawn = {tuple((pair.chosen_id, pair.rejected_id) for pair in pair_up(accepted(items), items, 2, seed)) for seed in range(5)}
    shown = {tuple(row.trace_id for row in verifier_rows(((1, item) for item in items), {"a": "?"}, 2, seed)) for seed in range(5)}
    assert len(drawn) > 1 and len(shown) > 1


def test_both_are_stored_as_data_sets(tmp_path: Path) -> None:
    from datasets import load_dataset

    items = judged([("a", outcome, 0, "stop") for outcome in (Outcome.CORRECT, Outcome.WRONG)])
    pairs, rows = pair_up(accepted(items), items, 2, 0), verifier_rows(((1, item) for item in items), {"a": "?"}, 2, 0)
    write_records(tmp_path / "pairs.parquet", pairs, Pair)
    write_records(tmp_path / "verifier.parquet", rows, VerifierRow)
    assert read_records(tmp_path / "pairs.parquet", Pair) == pairs and read_records(tmp_path / "verifier.parquet", VerifierRow) == rows
    opened = load_dataset("parquet", data_files=str(tmp_path / "verifier.parquet"), split="train", cache_dir=str(tmp_path / "cache"))
    assert opened.column_names == ["problem_id", "question", "trace_id", "trace", "answer", "right", "generation"]
    assert opened["right"][:] == [True, False]
