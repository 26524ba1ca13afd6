"""The final test: problems that neither trained nor chose anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command import run_command
from toy import Sums, make_toy_model, toy_workflow

from selfimprove import InlineCluster, LastNumber, improve
from selfimprove.errors import UserError
from selfimprove.problems.sets import load_sets
from selfimprove.records import Problem
from selfimprove.reports.cards import model_card
from selfimprove.reports.table import summarize
from selfimprove.storage.files import read_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored
from selfimprove.workflow.decontaminate import decontaminated


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_toy_model(tmp_path / "models" / "base", 0.3)


def asked_in(run: Path) -> dict[str, set[str]]:
    """Problems of the traces in each folder of the test."""
    return {folder.name: {item.trace.problem_id for item in stored(folder / "evaluation")} for folder in (run / "test").iterdir() if folder.is_dir()}


def test_base_champion_and_baselines_answer_problems_that_nothing_else_asked(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    workflow = toy_workflow(model, test_problems=Sums(20, 300), generations=1, also=(LastNumber(),))
    run = tmp_path / "run"
    kept = improve(workflow, run, InlineCluster)
    names = {problem.id for problem in Sums(20, 300).load()}
    found = asked_in(run)
    assert set(found) == {"base", "few-shot", kept.id, "answer-only-1"} and all(asked == names for asked in found.values())
    elsewhere = {item.trace.problem_id for folder in ("generation-01", "generation-01/evaluation") for item in stored(run / folder)}
    assert not elsewhere & names

    summary = json.loads(run_command(capfd, 0, "report", run, "--json")[0])
    scores = summary["test"]["scores"]
    right = [item.verdict.outcome.value == "correct" for item in stored(run / "test" / kept.id / "evaluation")]
    assert scores["champion"]["pass_at_1"] == pytest.approx(sum(right) / 20)
    assert scores["base"]["also"].keys() == {"last number"} and scores["few_shot"]["also"]
    assert summary["test"]["gain"]["difference"] == pytest.approx(scores["champion"]["pass_at_1"] - scores["base"]["pass_at_1"])
    out, _ = run_command(capfd, 0, "report", run)
    assert "final test, pass@1 on 20 problems" in out and "no final test" not in out
    # Verdicts on the test are audited and hashed like the others.
    assert json.loads(run_command(capfd, 0, "audit", run, "--with", "exact", "--json")[0])["stages"]["test base evaluation"]["judged"] == 20
    run_command(capfd, 0, "verify", run)
    card = model_card(summary, RunFolder(run).settings(), ["toy"], None, "mit")
    assert "test problems" in card.split("---")[1] and f"value: {round(scores['champion']['pass_at_1'], 4)}" in card


def test_a_run_that_goes_on_tests_its_new_champion_and_nothing_twice(model: Path, tmp_path: Path) -> None:
    workflow = toy_workflow(model, test_problems=10, generations=1, answer_only_baseline=False)
    run = RunFolder(tmp_path / "run")
    first = improve(workflow, run.root, InlineCluster)
    written = (run.test / "base" / "evaluation" / "score.json").stat().st_mtime_ns
    longer = replace(workflow, generations=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("selfimprove.loop.final_test", lambda *_: {})
        last = improve(longer, run.root, InlineCluster)
    assert last.id != first.id, "the toy's second generation is better"
    assert run.final_test() is None and summarize(run)["test"] is None, "the test of another champion is not shown"
    improve(longer, run.root, InlineCluster)
    assert (scores := run.final_test()) is not None and scores["champion"].checkpoint_id == last.id
    assert (run.test / "base" / "evaluation" / "score.json").stat().st_mtime_ns == written
    assert read_json(run.test / first.id / "evaluation" / "score.json", dict[str, object])


def test_a_number_leaves_the_evaluation_as_it_is_without_a_test() -> None:
    plain, with_test = (load_sets(Sums(60), 12, count, 7) for count in (None, 9))
    assert with_test.evaluation == plain.evaluation and len(with_test.test) == 9 and not plain.test
    names = [{problem.id for problem in part} for part in (with_test.training, with_test.evaluation, with_test.test)]
    assert set.union(*names) == {problem.id for problem in Sums(60).load()} and sum(map(len, names)) == 60


class Given:
    def __init__(self, *problems: Problem) -> None:
        self._problems = problems

    def load(self) -> list[Problem]:
        return list(self._problems)


def test_a_test_problem_in_another_set_is_refused() -> None:
    one, other, third = (Problem(f"p{n}", f"What is {n}?", str(n), "s") for n in range(3))
    for test, named in ((replace(one, id="x"), "problem p0 of problems asks the same as x of test_problems"),
                        (replace(other, id="x"), "problem p1 of eval_problems asks the same as x of test_problems"),
                        (replace(third, id="p0"), "problem id p0 is in both problems and test_problems")):  # fmt: skip
        with pytest.raises(UserError, match=named):
            load_sets(Given(one), Given(other), Given(test), 0)
    with pytest.raises(UserError, match="cannot set 2 of 2 distinct questions apart for test_problems"):
        load_sets(Given(one, other, third), 1, 2, 0)


def test_problems_that_give_a_test_problem_away_are_left_out(model: Path) -> None:
    """A question that holds a whole test question gives it away."""
    asked = "A farmer has seventeen sheep and buys another five on the market; how many sheep does the farmer have after that day?"
    leaking = Problem("leak", f"Please answer carefully. {asked} Think first.", "22", "s")
    workflow = toy_workflow(
        model,
        problems=Given(*Sums(12).load(), leaking),
        eval_problems=Sums(5, 200),
        test_problems=Given(Problem("t", asked, "22", "s")),
        generations=1,
    )
    clean, _ = decontaminated(workflow, load_sets(**workflow.sets))
    assert "leak" not in {problem.id for problem in clean.training} and len(clean.training) == 12


def test_without_a_test_the_report_says_so(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    improve(toy_workflow(model, generations=1, answer_only_baseline=False), tmp_path / "run", InlineCluster)
    assert "no final test: the evaluation chose the champion" in run_command(capfd, 0, "report", tmp_path / "run")[0]
