"""`workflows/longer_addition.py` with toy parts: the program that teaches, the run without labels, its control, the table and the chart."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
from places import WORKFLOWS
from toy import ToySampler, ToyTrainer, make_toy_model, skill_of

from selfimprove import InlineCluster
from selfimprove.problems.addition import Addition
from selfimprove.records import AcceptedTrace, AnnotatedTrace, Outcome, Trace, Verdict
from selfimprove.selection.equations import false_equations
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Digits(ToySampler):
    """Right more often with fewer digits, and as wordy as a sum of its length written out."""

    def _skill(self, checkpoint, request):  # type: ignore[no-untyped-def]
        return 1.5 * skill_of(checkpoint.path) - 0.05 * len(request.messages[-1]["content"].split()[0])

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        from longer_addition import gathered, written_out

        chance = random.Random(request.seed)
        lines = written_out(*request.messages[-1]["content"].rstrip(" =").split(" + "))
        answer = gathered(lines) if chance.random() < self._skill(checkpoint, request) else "A0"
        text = "\n".join(["<think>", *lines, " " * chance.randrange(3), "</think>", answer])
        asked = request.id, request.problem_id, checkpoint.id, (1, 2, 3), (7,) * 300
        return Trace(*asked, text, (), "stop", request.temperature, request.seed)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, untracked: None) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    import longer_addition

    yield longer_addition
    sys.modules.pop("longer_addition")


def test_the_program_writes_true_lines_that_end_with_the_sum(module: ModuleType) -> None:
    for problem in Addition(digits=(1, 2, 3, 6), size=50, seed=5, index_hints=True).load():
        lines = module.written_out(*problem.question.rstrip(" =").split(" + "))
        assert len(lines) == problem.metadata["digits"]
        assert module.gathered(lines) == problem.answer
        assert not list(false_equations("\n".join(line.partition(": ")[2].rpartition("/")[0] + "." for line in lines)))
    assert module.written_out("k8l3", "k7l4") == ["0k8l/k7l: 8 + 7 + 0 = 15/K5L", "1l3 +/l4 =: 3 + 4 + 1 = 08/L8"]


def test_each_generation_adds_a_digit_without_looking_at_its_answers(module: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(make_toy_model(tmp_path / "model", 0.3))
    teacher = replace(module.teaching.teacher, model=model)
    teaching = replace(module.teaching, base_model=model, teacher=teacher, sampler=Digits(), trainer=ToyTrainer(gain=0.0006))
    module.main(teaching, replace(module.workflow, sampler=Digits(), trainer=ToyTrainer(gain=0.002)), tmp_path / "run", InlineCluster)
    # All that the program wrote is right; a line of a long sum may ask a short one of the evaluation.
    taught = RunFolder(tmp_path / "run" / "taught").reports()[1].counts
    assert taught.verified == taught.sampled == taught.problems and taught.falsely_accepted == 0
    assert taught.accepted == taught.trained_on > 0.8 * taught.sampled
    run = RunFolder(tmp_path / "run" / "longer")
    assert [report.level for report in run.reports()] == [None, 1, 2, 3, 4, 5, 6]
    assert run.reports()[0].candidate.weights_hash == RunFolder(tmp_path / "run" / "taught").reports()[1].candidate.weights_hash
    for number in range(1, 7):
        rows = read_records(run.generation(number) / "accepted.parquet", AcceptedTrace)
        assert {row.problem_id.partition("/")[0] for row in rows} == {f"level-{number}"}
    # Of what a majority labelled, the report tells how much is not right.
    assert any(report.counts.falsely_accepted for report in run.reports()[1:]) and all("minority" in report.drops for report in run.reports()[1:4])
    out = capsys.readouterr().out
    assert out.count("random selection") == 1 and "taught      " in out and "generation 6      " in out
    assert (tmp_path / "run" / "digits.svg").read_text().startswith("<?xml")


def test_no_sum_was_taught_that_is_sampled_or_evaluated(module: ModuleType) -> None:
    own = {problem.question for level in module.workflow.problems.levels for problem in level.load()}
    assert len(own) == 6 * 120 and not own & {problem.question for problem in module.teaching.problems.load()}


def test_a_trace_that_skips_a_digit_is_not_accepted(module: ModuleType) -> None:
    for problem in module.workflow.problems.levels[2].load()[:20]:
        lines = module.written_out(*problem.question.rstrip(" =").split(" + "))
        for kept, reason in ((lines, None), (lines[:2] + lines[3:], "too few thoughts")):
            text = "\n".join(["<think>", *kept, "</think>", module.gathered(kept)])
            trace = Trace("a", problem.id, "base", (), (1,), text, (), "stop", 1.0, 1)
            assert module.by_majority(5).form.bad_form(AnnotatedTrace(trace, Verdict("a", Outcome.CORRECT, None, "exact", "1", 1.0))) == reason
