"""Rationalization, end to end with a toy model that needs hints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from toy import EXEMPLAR, Sums, ToySampler, make_toy_model, toy_workflow, write_tokenizer

from selfimprove import FewShot, InlineCluster, PlainQuestion, Rationalization, Sampling, UserError, improve
from selfimprove.__main__ import main
from selfimprove.prompting.hints import hinted, leak
from selfimprove.records import AcceptedTrace, Checkpoint, GenerationReport, Problem, Request, Selection, Trace
from selfimprove.stages.ask_again import AskedAgain
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.shards import stored
from selfimprove.tracking.figures import of_report

PROBLEM = Problem("p", "What is {4} + 3?", "7", "test")
HINT = re.compile(r"\(The answer is (-?\d+)\.\)")


@dataclass(frozen=True)
class NeedsHints(ToySampler):
    """Solves every third sum by itself; with a hint all of them, every fourth by speaking of the hint. A rationale is gone on from rightly if the
    sum is even."""

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        yield [self._answer(checkpoint, request) for request in requests]

    def _answer(self, checkpoint: Checkpoint, request: Request) -> Trace:
        question = request.messages[-1]["content"]
        left, right = map(int, re.findall(r"What is (\d+) \+ (\d+)", question)[0])
        solved, why = left % 3 == 0, ""
        if found := HINT.search(question):
            solved, why = int(found[1]) == left + right, "As the hint says, " if left % 4 == 0 else ""
        answer = left + right if solved else -1
        text = f"<think>\n{why}{left} + {right} = {answer}.\n</think>\n{answer}"
        if request.prefix:
            assert found is None
            text = str(left + right if (left + right) % 2 == 0 else -1)
        ids = tuple(map(ord, text))
        return Trace(request.id, request.problem_id, checkpoint.id, (1,), ids, text, (), "stop", request.temperature, request.seed)


def made(folder: Path, rule: Rationalization | None) -> tuple[GenerationReport, list[AcceptedTrace]]:
    model = make_toy_model(folder / "model", 0.2)
    workflow = toy_workflow(model, sampler=NeedsHints(), sampling=Sampling(n=1), generations=1, rationalization=rule, answer_only_baseline=False)
    improve(workflow, folder / "run", InlineCluster)
    generation = folder / "run" / "generation-01"
    return read_json(generation / "report.json", GenerationReport), read_records(generation / "accepted.parquet", AcceptedTrace)


def test_unsolved_problems_are_asked_again_and_no_hint_reaches_the_rows(tmp_path: Path) -> None:
    report, rows = made(tmp_path, Rationalization(samples=1, share=1.0))
    asked = list(stored(tmp_path / "run" / "generation-01" / "rationalized"))
    unsolved = {item.trace.problem_id for item in stored(tmp_path / "run" / "generation-01") if item.verdict.outcome != "correct"}
    assert {item.trace.problem_id for item in asked} == unsolved and len(asked) == len(unsolved) > 10
    origins = {row.problem_id: row.origin for row in rows}
    assert {name for name, origin in origins.items() if origin == "rationalized"} <= unsolved
    assert all("answer is" not in message["content"] for row in rows for message in row.messages)
    assert not any("hint" in row.completion for row in rows)
    leaked = sum("hint" in item.trace.text for item in asked)
    assert report.drops["rationalized: leak"] == leaked > 0
    assert report.rationalization.figures() == {
        "problems": len(unsolved),
        "sampled": len(unsolved),
        "accepted": len(unsolved) - leaked,
        "trained_on": len(unsolved) - leaked,
    }
    assert of_report(report)["rationalization/trained_on"] == len(unsolved) - leaked


def test_their_share_of_the_accepted_traces_is_kept_and_what_is_over_is_counted(tmp_path: Path) -> None:
    report, rows = made(tmp_path, Rationalization(samples=1, share=0.25))
    sampled, rationalized = (sum(row.origin == origin for row in rows) for origin in ("sampled", "rationalized"))
    assert rationalized == sampled // 3 > 0
    assert report.drops["rationalized: over share"] == report.rationalization.figures()["accepted"] - rationalized


def test_a_rationale_that_does_not_hold_without_the_hint_is_dropped(tmp_path: Path) -> None:
    made_of = make_toy_model(tmp_path / "model", 0.2)
    write_tokenizer(made_of)
    workflow = toy_workflow(
        made_of,
        sampler=NeedsHints(),
        sampling=Sampling(n=1),
        generations=1,
        rationalization=Rationalization(samples=1, share=1.0, resolve=2),
        answer_only_baseline=False,
    )
    improve(workflow, tmp_path / "run", InlineCluster)
    report = read_json(tmp_path / "run" / "generation-01" / "report.json", GenerationReport)
    rows = read_records(tmp_path / "run" / "generation-01" / "accepted.parquet", AcceptedTrace)
    kept = [row for row in rows if row.origin == "rationalized"]
    assert kept and all(int(row.completion.split()[-1]) % 2 == 0 for row in kept)
    assert report.drops["rationalized: unresolved"] > 0


def test_an_ablation_tells_what_they_are_worth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, _ = made(tmp_path, Rationalization(samples=1, ablation=True))
    figures = report.rationalization.figures()
    assert figures["value"] == pytest.approx(report.score.pass_at_1 - figures["without"])
    assert figures["value_low"] <= figures["value"] <= figures["value_high"]
    assert (tmp_path / "run" / "generation-01" / "without-rationalized" / "checkpoint").is_dir() and report.seconds["ablate"] > 0
    assert main(["report", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "rationalization: " in out and "gain " in out


def test_exemplars_get_their_hints_in_the_same_way() -> None:
    rule = Rationalization()
    *_, shown, _, asked = hinted(FewShot((EXEMPLAR,)), rule, PROBLEM)
    assert shown["content"] == f"{EXEMPLAR.question}\n(The answer is 99.)" and asked["content"] == "What is {4} + 3?\n(The answer is 7.)"
    assert hinted(PlainQuestion(), rule, PROBLEM)[-1]["content"] == asked["content"]


@pytest.mark.parametrize(
    ("thinking", "leaks"),
    [
        ("4 + 3 = 7.", False),
        ("4 + 3 = 7.\nSo the answer is 7.", False),
        ("The answer is 7.\nSo 4 + 3 = 7.", True),
        ("The answer is 7.", True),
        ("4 + 3 = 7, as the HINT says.", True),
        ("We are told that it is so.\n4 + 3 = 7.", True),
        ("The given numbers are 4 and 3.\n4 + 3 = 7.", False),
    ],
)
def test_a_leak_is_a_word_of_the_hint_or_an_answer_before_its_reason(thinking: str, leaks: bool) -> None:
    assert (leak(Rationalization().leaks, PROBLEM, thinking) is not None) == leaks


def test_with_a_share_of_one_all_are_kept() -> None:
    row = AcceptedTrace("t", "p", (), "", "rationalized", 1)
    both = AskedAgain("rationalized", Selection((row, replace(row, trace_id="u")), {}), share=1.0).beside(Selection((), {"wrong": 3}))
    assert len(both.accepted) == 2 and both.drops == {"wrong": 3}


def test_a_hint_without_its_parts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\{question\} and \{answer\}"):
        Rationalization(hint="{question}")


def test_without_a_tokenizer_rationales_cannot_be_gone_on_from(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="resolve"):
        made(tmp_path, Rationalization(samples=1, resolve=1))


def test_nothing_is_asked_again_where_all_is_solved(tmp_path: Path) -> None:
    model = make_toy_model(tmp_path / "model", 1.0)
    improve(toy_workflow(model, problems=Sums(20), rationalization=Rationalization(), generations=1), tmp_path / "run", InlineCluster)
    assert read_json(tmp_path / "run" / "generation-01" / "report.json", GenerationReport).rationalization is None
