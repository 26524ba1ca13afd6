"""Selection by agreement: the majority's answer is accepted, whatever the reference answer is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from toy import make_toy_model, toy_workflow

from selfimprove import Caps, InlineCluster, Jsonl, KeepCorrect, KeepMajority, Sampling, UserError, improve
from selfimprove.__main__ import main
from selfimprove.records import AcceptedTrace, AnnotatedTrace, GenerationReport, Outcome, Selection, Trace, Verdict
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.shards import stored
from selfimprove.tracking.figures import of_report


def judged(problem: str, *answers: str | None, outcome: Outcome = Outcome.WRONG) -> list[AnnotatedTrace]:
    found = []
    for number, answer in enumerate(answers):
        name = f"{problem}/g1/s{number}"
        text = f"<think>\nso\n</think>\n{answer or ''}"
        trace = Trace(name, problem, "base", (1,), (1, 2), text, (), "stop", 1.0, 0)
        found.append(AnnotatedTrace(trace, Verdict(name, outcome if answer else Outcome.UNPARSEABLE, answer, "exact", "1", 0.0)))
    return found


def kept(selector: KeepMajority, items: list[AnnotatedTrace]) -> Selection:
    return selector.select(items, {item.trace.problem_id: () for item in items}, 1)


def test_the_most_frequent_answer_is_accepted_and_the_others_are_counted() -> None:
    found = kept(KeepMajority(), [*judged("p", "7", " 7", "8", None), *judged("q", "1", "2", "3", "3")])
    assert [row.trace_id for row in found.accepted] == ["p/g1/s0", "p/g1/s1", "q/g1/s2", "q/g1/s3"]
    assert found.drops == {"minority": 4}


def test_without_enough_agreement_nothing_is_accepted() -> None:
    items = judged("p", "7", "7", "8", "9", "10")
    assert kept(KeepMajority(share=0.5), items).drops == {"no majority": 5}
    assert len(kept(KeepMajority(share=0.4), items).accepted) == 2
    assert kept(KeepMajority(share=0.1, votes=3), items).accepted == ()
    assert kept(KeepMajority(), judged("p", None, None)).accepted == ()


def test_form_and_caps_work_as_in_keep_correct() -> None:
    items = judged("p", "7", "7", "7")
    unfinished = replace(items[0], trace=replace(items[0].trace, finish_reason="length"))
    found = kept(KeepMajority(form=KeepCorrect(caps=Caps(per_problem=1))), [unfinished, *items[1:]])
    assert [row.trace_id for row in found.accepted] == ["p/g1/s1"] and found.drops == {"unfinished": 1, "over cap": 1}


def test_the_report_states_how_many_were_accepted_falsely(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = toy_workflow(
        make_toy_model(tmp_path / "model", 0.2),
        sampling=Sampling(n=5),
        selector=KeepMajority(),
        generations=1,
        answer_only_baseline=False,
    )
    improve(workflow, tmp_path / "run", InlineCluster)
    report = read_json(tmp_path / "run" / "generation-01" / "report.json", GenerationReport)
    rows = {row.trace_id for row in read_records(tmp_path / "run" / "generation-01" / "accepted.parquet", AcceptedTrace)}
    wrong = sum(item.trace.id in rows and item.verdict.outcome == "wrong" for item in stored(tmp_path / "run" / "generation-01"))
    assert report.counts.falsely_accepted == wrong > 0
    assert of_report(report)["2_traces/false_acceptance"] == wrong / len(rows)
    assert main(["report", str(tmp_path / "run")]) == 0
    assert f"accepted but wrong by the reference answer: {wrong} of {len(rows)}" in capsys.readouterr().out


def test_a_round_without_any_labels(tmp_path: Path) -> None:
    lines = [json.dumps({"question": f"What is {n} + {n % 5}?"}) for n in range(300, 340)]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines))
    workflow = toy_workflow(
        make_toy_model(tmp_path / "model", 0.5),
        problems=Jsonl(tmp_path / "asked.jsonl", answer=None),
        eval_problems=toy_workflow(tmp_path / "model").problems,
        sampling=Sampling(n=4),
        selector=KeepMajority(),
        generations=1,
        answer_only_baseline=False,
    )
    improve(workflow, tmp_path / "run", InlineCluster)
    report = read_json(tmp_path / "run" / "generation-01" / "report.json", GenerationReport)
    assert report.outcomes["unparseable"] == report.counts.sampled and report.counts.accepted > 0 == report.counts.falsely_accepted
    assert report.score.pass_at_1 > 0.5 and report.score.outcomes["unparseable"] == 0
    for changes in ({"selector": KeepCorrect()}, {"answer_only_baseline": True}, {"eval_problems": 5}):
        with pytest.raises(UserError, match="has no reference answer"):
            improve(replace(workflow, **changes), tmp_path / "other", InlineCluster)  # type: ignore[arg-type]
