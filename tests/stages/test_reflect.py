"""Reflection, end to end with a toy model: rows that revise and confirm, and what evaluations say about first attempts."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from toy import SIGNS, ToyPreference, ToyTrainer, make_toy_model, toy_workflow, write_tokenizer
from two_ways import TwoWays

from selfimprove import InlineCluster, PreferencePairs, Reflection, Sampling, UserError, Workflow, improve
from selfimprove.__main__ import main
from selfimprove.records import AcceptedTrace, GenerationReport, Pair, Verdict
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.shards import stored
from selfimprove.tracking.figures import of_report
from selfimprove.training.rows import tokenize_row


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = make_toy_model(tmp_path / "model", 0.2)
    write_tokenizer(folder)
    return folder


def reflecting(model: Path, rule: Reflection | None, **changes: object) -> Workflow:
    settings = {"sampler": TwoWays(), "sampling": Sampling(n=4), "generations": 2, "answer_only_baseline": False, "reflection": rule}
    return toy_workflow(model, **{**settings, **changes})


def rows_of(root: Path, number: int, name: str = "accepted") -> list[AcceptedTrace]:
    return read_records(root / f"generation-{number:02d}" / f"{name}.parquet", AcceptedTrace)


def report_of(root: Path, number: int) -> GenerationReport:
    return read_json(root / f"generation-{number:02d}" / "report.json", GenerationReport)


def test_rows_revise_and_confirm_and_the_wrong_part_carries_no_loss(model: Path, tmp_path: Path) -> None:
    improve(reflecting(model, Reflection(revised=0.2, confirmed=0.3)), tmp_path / "run", InlineCluster)
    improve(reflecting(model, None, generations=1), tmp_path / "plain", InlineCluster)
    rows = rows_of(tmp_path / "run", 1)
    made = [row for row in rows if row.origin in ("revised", "confirmed")]
    # What is sampled and accepted is the same as without it.
    assert [row for row in rows if row not in made] == rows_of(tmp_path / "plain", 1)
    counts = Counter(row.origin for row in rows)
    assert counts["revised"] == int(counts["sampled"] * 0.25) and counts["confirmed"] > 0
    for row in made:
        assert row.completion_token_ids == tuple(map(SIGNS.index, row.completion)) and row.completion.endswith(f"\n</think>\n{answer_of(row)}")
        silent = "".join(row.completion[begin:end] for begin, end in row.forced)
        wrong = f"= {answer_of(row) + 1}." in row.completion
        assert wrong == (row.origin == "revised") == bool(silent)
        assert not wrong or (silent.startswith("I add") and silent.endswith(f"= {answer_of(row) + 1}."))
    verdicts = read_records(tmp_path / "run/generation-01/reflected/verdicts.parquet", Verdict)
    report = report_of(tmp_path / "run", 1)
    assert {row.trace_id for row in made} <= {verdict.trace_id for verdict in verdicts}
    assert len(verdicts) - len(made) == report.drops["revised: over share"] + report.drops.get("confirmed: over share", 0)
    assert {row.trace_id for row in made} <= {row.trace_id for row in rows_of(tmp_path / "run", 1, "rows")}
    assert report.counts and (report.counts.revised, report.counts.confirmed) == (counts["revised"], counts["confirmed"])
    # A trace of this generation is in each; an earlier one may be the other.
    second = rows_of(tmp_path / "run", 2)
    assert any(row.origin == "revised" for row in second) and len({row.trace_id for row in (*rows, *second)}) == len(rows) + len(second)


def answer_of(row: AcceptedTrace) -> int:
    return sum(map(int, re.findall(r"\d+", row.messages[-1]["content"])))


def test_tokens_are_those_of_the_text_and_the_span_without_loss_is_the_wrong_part(tiny_model: Path, model: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    shutil.copy(tiny_model / "tokenizer.json", model)
    improve(reflecting(model, Reflection(per_problem=3), generations=1, trainer=ToyTrainer(0.001)), tmp_path / "run", InlineCluster)
    tokenizer, made = AutoTokenizer.from_pretrained(tiny_model), [row for row in rows_of(tmp_path / "run", 1) if row.origin == "revised"]
    assert made
    for row in made:
        assert list(row.completion_token_ids or ()) == tokenizer(row.completion, add_special_tokens=False)["input_ids"]
        ((begin, end),) = row.forced
        silent, learnt = (tokenizer.decode((row.completion_token_ids or ())[part]) for part in (slice(begin, end), slice(end, None)))
        assert silent.strip().endswith(f"= {answer_of(row) + 1}.") and silent.strip().startswith("I add")
        assert learnt.lstrip().startswith(Reflection().revisions) and learnt.endswith(f"\n</think>\n{answer_of(row)}")
        # The trainer reads the same tokens, and the end of the turn after them.
        assert tokenize_row(tokenizer, row)[1][:-1] == list(row.completion_token_ids or ())


def test_pairs_mask_the_wrong_part_and_the_loss_on_it_can_be_chosen(model: Path, tmp_path: Path) -> None:
    workflow = reflecting(model, Reflection(revised=0.5, loss_on_wrong=True), preference_pairs=PreferencePairs(ToyPreference()), generations=1)
    improve(workflow, tmp_path / "loss", InlineCluster)
    assert not any(row.forced for row in rows_of(tmp_path / "loss", 1))
    improve(replace(workflow, reflection=Reflection(revised=0.5)), tmp_path / "none", InlineCluster)
    pairs = read_records(tmp_path / "none/generation-01/pairs.parquet", Pair)
    forced = {row.trace_id: row.forced for row in rows_of(tmp_path / "none", 1)}
    assert any(pair.chosen_forced for pair in pairs) and all(pair.chosen_forced == forced[pair.chosen_id] for pair in pairs)


def test_without_a_tokenizer_the_wrong_part_cannot_be_left_out(tmp_path: Path) -> None:
    workflow = reflecting(make_toy_model(tmp_path / "model", 0.3), Reflection(), generations=1)
    with pytest.raises(UserError, match=r"loss_on_wrong=True"):
        improve(workflow, tmp_path / "run", InlineCluster)
    improve(replace(workflow, reflection=Reflection(loss_on_wrong=True), trainer=ToyTrainer(0.001)), tmp_path / "other", InlineCluster)
    made = [row for row in rows_of(tmp_path / "other", 1) if row.origin == "revised"]
    assert made and all(row.completion_token_ids is None for row in made)


def test_evaluations_tell_revisions_of_right_first_attempts_from_those_of_wrong_ones(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    improve(reflecting(model, Reflection(revised=0, confirmed=0), generations=1, eval_problems=20), tmp_path / "run", InlineCluster)
    for number in (0, 1):
        counts, changed = Counter[str](), Counter[str]()
        for item in stored(tmp_path / f"run/generation-{number:02d}/evaluation"):
            asked, text = int(re.findall(r"= (\d+)\.", item.trace.text)[0]), item.trace.text
            truth = sum(map(int, re.findall(r"(\d+) \+ (\d+)", text)[0]))
            first = "right" if asked == truth else "wrong"
            counts[f"{first}_{'revised' if 'not right' in text else 'confirmed' if 'checks' in text else 'neither'}"] += 1
            changed["corrected"] += first == "wrong" and item.verdict.outcome == "correct"
            changed["spoilt"] += first == "right" and item.verdict.outcome != "correct"
        report = report_of(tmp_path / "run", number)
        figures = of_report(report)
        assert {name: figures[f"first_attempts/{name}"] for name in (*counts, *changed)} == {**counts, **changed}
        assert figures["first_attempts/correction_rate"] == changed["corrected"] / sum(counts[name] for name in counts if "wrong" in name)
    assert report.counts and report.counts.revised == report.counts.confirmed == 0
    assert main(["report", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert f"  wrong: {report.first_attempts.wrong.traces} (" in out and "base, first attempts in the evaluation: reflection in " in out
    assert f"{changed['corrected']} corrected" in out and "reflection: 0 revisions and 0 confirmations among" in out
