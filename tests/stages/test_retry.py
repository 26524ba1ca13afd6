"""Retry, end to end with a toy model that solves more once it has criticised its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from toy import ToySampler, make_toy_model, toy_workflow

from selfimprove import InlineCluster, Rationalization, Retry, Sampling, improve
from selfimprove.__main__ import main
from selfimprove.records import AcceptedTrace, Checkpoint, GenerationReport, Request, Trace
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.shards import stored
from selfimprove.tracking.figures import of_report


@dataclass(frozen=True)
class Criticises(ToySampler):
    """Solves every third sum at once. It criticises a wrong answer unless the sum is divisible by five, and then solves it unless the critique is
    short; every fourth attempt speaks of the earlier answer."""

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        yield [self._answer(checkpoint, request) for request in requests]

    def _answer(self, checkpoint: Checkpoint, request: Request) -> Trace:
        left, right = map(int, re.findall(r"What is (\d+) \+ (\d+)", " ".join(one["content"] for one in request.messages))[-1])
        last = request.messages[-1]["content"]
        if "went wrong" in last:
            assert "is wrong" in last and request.messages[-2] == {"role": "assistant", "content": "-1"}
            critique = "I guessed." if right % 2 else "I did not add the digits one by one."
            text = "<think>\nHm.\n</think>\n" + ("" if (left + right) % 5 == 0 else critique)
        else:
            critique = request.messages[-2]["content"] if "again" in last else ""
            solved = left % 3 == 0 or len(critique) > len("I guessed.")
            why = "My answer was a guess. " if critique and left % 4 == 0 else ""
            answer = left + right if solved else -1
            text = f"<think>\n{why}{left} + {right} = {answer}.\n</think>\n{answer}"
        ids = tuple(map(ord, text))
        return Trace(request.id, request.problem_id, checkpoint.id, (1,), ids, text, (), "stop", request.temperature, request.seed)


def made(folder: Path, **settings: object) -> tuple[GenerationReport, list[AcceptedTrace], Path]:
    model = make_toy_model(folder / "model", 0.2)
    workflow = toy_workflow(model, sampler=Criticises(), sampling=Sampling(n=1), generations=1, answer_only_baseline=False, **settings)
    improve(workflow, folder / "run", InlineCluster)
    generation = folder / "run" / "generation-01"
    return read_json(generation / "report.json", GenerationReport), read_records(generation / "accepted.parquet", AcceptedTrace), generation


def test_right_attempts_train_the_bare_question_and_know_of_no_earlier_answer(tmp_path: Path) -> None:
    report, rows, folder = made(tmp_path, retry=Retry(samples=2, share=1.0))
    wrong = {item.trace.problem_id for item in stored(folder) if item.verdict.outcome == "wrong"}
    critiques, attempts = list(stored(folder / "critiques")), list(stored(folder / "retried"))
    assert {item.trace.problem_id for item in critiques} == wrong and len(critiques) == 2 * len(wrong) > 20
    said = [item for item in critiques if not item.trace.text.endswith("</think>\n")]
    assert {item.trace.id for item in attempts} == {f"{item.trace.id}/again/s0" for item in said} and len(said) < len(critiques)
    retried = [row for row in rows if row.origin == "retried"]
    right = [item.trace for item in attempts if item.verdict.outcome == "correct"]
    leaked = sum("My answer" in trace.text for trace in right)
    assert report.drops["retried: leak"] == leaked > 0 and len(retried) == len(right) - leaked > 0
    bare = {row.problem_id: row.messages for row in rows if row.origin == "sampled"}
    assert all(len(row.messages) == len(next(iter(bare.values()))) and "answer" not in row.completion for row in retried)
    distinct = len({(row.problem_id, row.completion) for row in retried})
    assert report.retry.figures() == {"problems": len(wrong), "sampled": len(said), "accepted": len(retried), "trained_on": distinct}
    assert of_report(report)["retry/trained_on"] == distinct and report.seconds["retry"] >= 0


def test_or_the_critique_that_led_to_them(tmp_path: Path) -> None:
    report, rows, folder = made(tmp_path, retry=Retry(samples=1, share=1.0, trains="critique"))
    critiques = {item.trace.id: item.trace for item in stored(folder / "critiques")}
    right = {item.trace.id.removesuffix("/again/s0") for item in stored(folder / "retried") if item.verdict.outcome == "correct"}
    retried = {row.trace_id: row for row in rows if row.origin == "retried"}
    assert retried.keys() == right and "retried: leak" not in report.drops
    for name, row in retried.items():
        assert row.completion == critiques[name].text and "one by one" in row.completion
        assert row.completion_token_ids == critiques[name].output_token_ids
        assert row.messages[-1]["content"].startswith("Your answer is wrong.") and row.messages[-2]["content"] == "-1"


def test_what_a_retry_solves_gets_no_hint(tmp_path: Path) -> None:
    report, _, folder = made(tmp_path, retry=Retry(samples=1, share=1.0), rationalization=Rationalization(samples=1))
    hinted = {item.trace.problem_id for item in stored(folder / "rationalized")}
    solved = {item.trace.problem_id: item.trace.text for item in stored(folder / "retried") if item.verdict.outcome == "correct"}
    leaked = {name for name, text in solved.items() if "My answer" in text}
    assert solved.keys() & hinted == leaked != solved.keys() and report.retry.accepted == len(solved.keys() - hinted) > 0


def test_share_and_ablation_are_those_of_rationalization(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, rows, folder = made(tmp_path, retry=Retry(samples=1, share=0.1, ablation=True))
    sampled, retried = (sum(row.origin == origin for row in rows) for origin in ("sampled", "retried"))
    assert retried == sampled // 9 > 0 and report.drops["retried: over share"] == report.retry.accepted - retried
    assert report.retry.value == pytest.approx(report.score.pass_at_1 - report.retry.without)
    assert (folder / "without-retried" / "checkpoint").is_dir()
    assert main(["report", str(tmp_path / "run")]) == 0
    assert f"retry: {report.retry.accepted} rows accepted for {report.retry.problems} unsolved problems" in capsys.readouterr().out


def test_without_a_wrong_answer_nothing_is_asked_again(tmp_path: Path) -> None:
    model = make_toy_model(tmp_path / "model", 1.0)
    improve(toy_workflow(model, generations=1, answer_only_baseline=False, retry=Retry()), tmp_path / "run", InlineCluster)
    report = read_json(tmp_path / "run" / "generation-01" / "report.json", GenerationReport)
    assert report.retry is None and not (tmp_path / "run" / "generation-01" / "critiques").exists()


def test_a_request_for_a_critique_names_the_outcome() -> None:
    with pytest.raises(ValueError, match=r"\{outcome\}"):
        Retry(critique="What went wrong?")
