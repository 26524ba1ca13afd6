"""A teacher writes the traces of generation 1; from then on the student writes its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chat_server import Reply, chat_server, fails, says
from toy import Sums, ToySampler, make_toy_model, toy_workflow

from selfimprove import SFT, Budget, Delimiters, Endpoint, InlineCluster, KeepCorrect, Sampling, Teacher, UserError, Workflow, ZeroShot, improve
from selfimprove.__main__ import main
from selfimprove.commands.findings import check
from selfimprove.records import AcceptedTrace, Checkpoint, Request, Trace, Usage
from selfimprove.reports.table import summarize
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking.figures import of_report


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_toy_model(tmp_path / "model", 0.1)


@pytest.fixture
def strong(tmp_path: Path) -> Path:
    return make_toy_model(tmp_path / "strong", 0.9)


def taught_by(endpoint: Endpoint, model: Path, **changes: object) -> Workflow:
    fields: dict[str, Any] = {"first_prompter": None, "teacher": Teacher(sampler=endpoint), **changes}
    return toy_workflow(model, **fields)


def solve(body: dict[str, Any], number: int) -> Reply:
    """Sends its reasoning in a field of its own, and errs on sums above 30."""
    left, right = map(int, re.findall(r"\d+", body["messages"][-1]["content"]))
    total = left + right if left + right <= 30 else -1
    return says(str(total), reasoning_content=f"{left} and {right} make {total}.")


def accepted(run: Path, generation: int) -> list[AcceptedTrace]:
    return read_records(run / f"generation-0{generation}/accepted.parquet", AcceptedTrace)


@pytest.mark.slow
def test_an_endpoint_teaches_generation_1_and_the_student_continues_alone(model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with chat_server(solve) as server:
        endpoint = Endpoint(server.url, "m", key_from=None, price_per_million_in=1.0, price_per_million_out=2.0)
        improve(taught_by(endpoint, model), run, InlineCluster)
        assert len(server.bodies) == 50
    first, second = accepted(run, 1), accepted(run, 2)
    assert first and {row.origin for row in first} == {"teacher"} and {row.completion_token_ids for row in first} == {None}
    assert all(re.fullmatch(r"<think>\d+ and \d+ make \d+.</think>\d+", row.completion) for row in first)
    assert all([message["role"] for message in row.messages] == ["system", "user"] for row in first)
    assert second and {row.origin for row in second} == {"sampled"} and all(row.completion_token_ids for row in second)

    report = RunFolder(run).reports()[1]
    assert report.outcomes["wrong"] == report.drops["wrong"] > 0 and report.counts.accepted == report.outcomes["correct"]
    assert report.spent == Usage(500, 250, pytest.approx(50 * (10 + 2 * 5) / 1e6))  # type: ignore[arg-type]
    assert report.tokens["sample"] == 250 and report.anatomy.figures()["output_tokens"] == 5
    assert of_report(report)["spent/cost"] == pytest.approx(0.001)
    rows = summarize(RunFolder(run))["generations"]
    assert [row["spent"] and row["spent"]["prompt_tokens"] for row in rows] == [None, 500, None]
    assert rows[1]["pass_at_1"] > rows[0]["pass_at_1"]


@pytest.mark.slow
def test_traces_of_a_teacher_that_failed_halfway_are_not_paid_for_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("selfimprove.storage.shards.SHARD", 10)
    monkeypatch.setattr("selfimprove.sampling.stream.LARGEST_CALL", 10)
    run = tmp_path / "run"
    with chat_server(lambda body, number: solve(body, number) if number < 34 else fails(429, "no more for now")) as server:
        endpoint = Endpoint(server.url, "m", key_from=None, concurrency=2, retries=0)
        with pytest.raises(UserError, match="answered 429: no more for now; lower requests_per_minute or concurrency, or wait"):
            improve(taught_by(endpoint, model), run, InlineCluster)
        assert len(list(run.glob("generation-01/verdicts/*.parquet"))) == 3
        paid, server.behaviour = len(server.bodies), solve
        # Concurrency does not change the identity of a run.
        improve(taught_by(Endpoint(server.url, "m", key_from=None, concurrency=1), model), run, InlineCluster)
        # Of 50, one of 34 may not have been verified when the other request failed.
        assert len(server.bodies) - paid in (16, 17)
        improve(taught_by(endpoint, model), tmp_path / "whole", InlineCluster)
    assert accepted(run, 1) == accepted(tmp_path / "whole", 1)
    with pytest.raises(UserError, match=r"another workflow: teacher.sampler.model: \"m\" → \"n\""):
        improve(taught_by(Endpoint(endpoint.url, "n", key_from=None), model), run, InlineCluster)


@dataclass(frozen=True)
class Engine(ToySampler):
    """Fails if two engines are loaded at the same time."""

    def open(self) -> OpenEngine:  # type: ignore[override]
        return OpenEngine()


class OpenEngine(ToySampler):
    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        if self not in LOADED:
            LOADED.append(self)
        assert len(LOADED) == 1, "two engines at once"
        WROTE.append(checkpoint.id)
        yield from super().sample(checkpoint, requests)

    def close(self) -> None:
        if self in LOADED:
            LOADED.remove(self)

    __eq__ = object.__eq__
    __hash__ = object.__hash__


LOADED: list[OpenEngine] = []
WROTE: list[str] = []


@pytest.mark.parametrize("help_", [0.3, 0.0], ids=["equal parts", "different parts"])
def test_a_local_teacher_and_the_student_are_never_in_memory_together(help_: float, model: Path, strong: Path, tmp_path: Path) -> None:
    LOADED.clear()
    WROTE.clear()
    teacher = Teacher(sampler=Engine(help=help_), model=str(strong))
    improve(toy_workflow(model, sampler=Engine(), teacher=teacher, answer_only_baseline=False), tmp_path / "run", InlineCluster)
    assert list(dict.fromkeys(WROTE)) == ["base", "teacher", "generation-1", "generation-2"] and not LOADED
    report = RunFolder(tmp_path / "run").reports()[1]
    assert report.outcomes["correct"] > 35 and report.start.id == "base" and report.spent is None
    assert {row.origin for row in accepted(tmp_path / "run", 1)} == {"teacher"}
    WROTE.clear()
    (tmp_path / "run/generation-01/report.json").unlink()
    improve(toy_workflow(model, sampler=Engine(), teacher=teacher, answer_only_baseline=False), tmp_path / "run", InlineCluster)
    assert WROTE == []


@dataclass(frozen=True)
class Says(ToySampler):
    """Writes `text`, with the sum in place of `{}`."""

    text: str = ""
    opened: bool = False

    def open(self) -> Says:
        return self

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        left, right = map(int, re.findall(r"\d+", request.messages[-1]["content"]))
        text = self.text.replace("{}", str(left + right))
        ids = tuple(range(9))
        return Trace(request.id, request.problem_id, checkpoint.id, (1,), ids, text, (), "stop", 0.8, request.seed, request.delimiters, self.opened)


@pytest.mark.parametrize(
    ("text", "settings", "completion"),
    [
        ("<think>It is {}.</think>{}", {}, "<think>It is {}.</think>{}"),
        ("  <think>\n\nIt is {}.\n</think>\n\n{}", {"answer_after": "Answer:"}, "  <think>\n\nIt is {}.\n</think>\n\n{}"),
        ("We add.\nIt is {}.\nAnswer: {}", {"answer_after": "Answer:"}, "<think>\nWe add.\nIt is {}.\n</think>\n{}"),
        ("[T]It is {}.[/T] {}", {"delimiters": Delimiters("[T]", "[/T]")}, "<think>\nIt is {}.\n</think>\n{}"),
        ("It is {}.</think>{}", {"opened": True}, "<think>\nIt is {}.\n</think>\n{}"),
    ],
    ids=["unchanged", "unchanged although a mark is set", "by a mark", "other delimiters", "opened by its prompt"],
)
def test_the_student_gets_the_teachers_thinking_in_its_own_format(
    text: str, settings: dict[str, Any], completion: str, model: Path, strong: Path, tmp_path: Path
) -> None:
    sampler = Says(text=text, opened=settings.pop("opened", False))
    teacher = Teacher(sampler=sampler, model=str(strong), prompter=ZeroShot(), **settings)
    improve(toy_workflow(model, teacher=teacher, generations=1), tmp_path / "run", InlineCluster)
    rows = accepted(tmp_path / "run", 1)
    answers = {problem.id: problem.answer for problem in Sums().load()}
    assert len(rows) == 50
    assert all(row.completion == completion.replace("{}", answers[row.problem_id]) for row in rows)
    traces = read_records(tmp_path / "run/generation-01/traces/shard-00000.parquet", Trace)
    assert all(trace.text == text.replace("{}", answers[trace.problem_id]) for trace in traces)


@pytest.mark.parametrize(
    ("text", "mark", "reason"),
    [
        ("It is {}.\nAnswer: {}", None, "50 wrong"),
        ("{}", None, r"50 missing\); right answers came without a block of thinking: ask for one \(ZeroShot, exemplars"),
        ("It is {}.", "Answer:", "50 unparseable"),
        ("Answer: {}\nAnswer: {}", "Answer:", "50 wrong"),
    ],
)
def test_a_teacher_without_recognizable_thinking_teaches_nothing(
    text: str, mark: str | None, reason: str, model: Path, strong: Path, tmp_path: Path
) -> None:
    teacher = Teacher(sampler=Says(text=text), model=str(strong), answer_after=mark)
    with pytest.raises(UserError, match=rf"generation 1: no trace was accepted \({reason}\)"):
        improve(toy_workflow(model, teacher=teacher), tmp_path / "run", InlineCluster)


def test_a_length_limit_uses_the_token_count_of_the_endpoint(model: Path, tmp_path: Path) -> None:
    with chat_server(solve) as server, pytest.raises(UserError, match="no trace was accepted"):
        improve(taught_by(Endpoint(server.url, "m", key_from=None), model, selector=KeepCorrect(max_tokens=4)), tmp_path / "run", InlineCluster)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"sampling": Sampling(budget=Budget(max_tokens=5), max_tokens=32)}, "an Endpoint cannot enforce a budget of thinking"),
        ({"key_from": "NO_SUCH_KEY"}, "the environment variable NO_SUCH_KEY holds no key"),
    ],
)
def test_check_rejects_an_unusable_teacher(changes: dict[str, Any], detail: str, tiny_model: Path) -> None:
    endpoint = Endpoint("https://example.org/v1", "m", key_from=changes.get("key_from"))
    fields = {name: value for name, value in changes.items() if name != "key_from"}
    found = check(taught_by(endpoint, tiny_model, **{"sampling": Sampling(), **fields}))
    (failure,) = (finding for finding in found["findings"] if not finding["passed"])
    assert failure["name"] == "teacher" and detail in failure["detail"]


def test_check_notes_that_long_traces_of_the_teacher_are_dropped(tiny_model: Path) -> None:
    endpoint = Endpoint("https://example.org/v1", "m", key_from=None)
    found = check(taught_by(endpoint, tiny_model, sampling=Sampling(), trainer=SFT(max_length=200)))
    (finding,) = (finding for finding in found["findings"] if finding["name"] == "teacher")
    assert finding["passed"] and "up to 256 tokens, and rows longer than trainer.max_length=200 are dropped" in finding["detail"]


def test_check_names_the_teacher(tiny_model: Path, strong: Path) -> None:
    for teacher, path in (
        (Teacher(sampler=Endpoint("https://example.org/v1", "m", key_from=None)), "https://example.org/v1 m"),
        (Teacher(sampler=ToySampler(), model=str(strong)), str(strong)),
    ):
        found = {finding["name"]: finding for finding in check(toy_workflow(tiny_model, teacher=teacher))["findings"]}
        assert found["teacher"]["passed"] and found["teacher"]["detail"] == path
    gone = check(toy_workflow(tiny_model, teacher=Teacher(sampler=ToySampler(), model=str(strong / "gone"))))
    assert not gone["passed"]


@pytest.mark.parametrize("fields", ["sampler=Endpoint('https://example.org/v1', 'm'), model='smollm2-135m-instruct'", "sampler=ToySampler()"])
def test_a_teacher_with_no_model_or_two_is_refused_in_one_line(fields: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "experiment.py"
    file.write_text(f"from selfimprove import *\nfrom toy import *\nteacher = Teacher({fields})\n")
    assert main(["check", str(file)]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "line 3: Teacher: Value error, name a teacher's model either by its Endpoint or" in line
