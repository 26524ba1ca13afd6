"""Controls: trainings on other rows, beside the champion."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from command import run_command
from hypothesis import given
from hypothesis import strategies as st
from toy import Sums, make_toy_model, toy_workflow

from selfimprove import InlineCluster, RandomSelection, ShuffledAnswers, improve
from selfimprove.records import AcceptedTrace, Outcome
from selfimprove.stages.baselines import sampled_rows
from selfimprove.stages.context import of_finished_run
from selfimprove.storage.files import read_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored

PROBLEMS = {problem.id: problem for problem in Sums(60).load()}


def row(number: int, problem: int, generation: int = 1) -> AcceptedTrace:
    return AcceptedTrace(f"t{number}", f"sum-{problem}", (), f"trace {number} of {problem}", "sampled", generation)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("controls")
    model = make_toy_model(folder / "models" / "base", 0.3)
    workflow = toy_workflow(
        model, generations=2, controls=(RandomSelection(), ShuffledAnswers()), test_problems=Sums(20, 300), answer_only_baseline=True
    )
    improve(workflow, folder / "run", InlineCluster)
    return RunFolder(folder / "run")


def test_each_control_is_trained_for_as_many_steps_and_evaluated_like_the_champion(run: RunFolder) -> None:
    numbers = [len(read_json(folder / "training.json", list[dict[str, object]])) for folder in sorted(run.root.glob("baselines/*/generation-02"))]
    assert len(numbers) == 3 and len(set(numbers)) == 1
    assert numbers[0] == len(read_json(run.generation(2) / "training.json", list[dict[str, object]]))
    for name in ("answer_only", "random_selection", "shuffled_answers"):
        asked = {item.trace.problem_id for item in stored(run.baseline(name) / "evaluation")}
        assert asked == {item.trace.problem_id for item in stored(run.generation(2) / "evaluation")}


def test_the_report_compares_the_champion_with_each(run: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run_command(capfd, 0, "report", run.root, "--json")[0])
    assert found["complete"] and set(found["test"]["scores"]) >= {"random_selection", "shuffled_answers", "answer_only"}
    kept = found["generations"][found["kept_generation"]]["pass_at_1"]
    for detail in found["baseline_details"].values():
        assert detail["champion_gain"]["difference"] == pytest.approx(kept - detail["pass_at_1"])
    out, _ = run_command(capfd, 0, "report", run.root)
    assert "champion against random-selection: " in out and "champion against shuffled-answers: " in out
    traces = json.loads(run_command(capfd, 0, "traces", run.root, "--from", "random-selection", "--json", "--limit", "3")[0])
    assert traces["from"] == "random-selection" and len(traces["traces"]) == 3
    assert "choose sampling, evaluation, answer-only" in run_command(capfd, 2, "traces", run.root, "--from", "banana")[1]


def test_random_selection_takes_wrong_traces_too() -> None:
    pool = [row(number, number % 7) for number in range(200)]
    drawn = RandomSelection().rows(pool[:50], lambda _: pool, PROBLEMS, seed=3)
    assert len(drawn) == 50 == len({one.trace_id for one in drawn}) and {one.trace_id for one in drawn} - {one.trace_id for one in pool[:50]}
    assert drawn == RandomSelection().rows(pool[:50], lambda _: pool[::-1], PROBLEMS, seed=3)
    assert drawn != RandomSelection().rows(pool[:50], lambda _: pool, PROBLEMS, seed=4)


def test_random_selection_draws_as_many_of_each_generation_as_were_trained_on() -> None:
    trained = [row(number, number, 1) for number in range(5)] + [row(number, number, 2) for number in range(5, 12)]

    def sampled(generation: int) -> Sequence[AcceptedTrace]:
        return [row(100 * generation + number, number, generation) for number in range(6)]

    assert Counter(one.generation for one in RandomSelection().rows(trained, sampled, PROBLEMS, 0)) == {1: 5, 2: 6}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 99))
def test_shuffled_answers_keep_questions_and_traces_but_no_pair_of_them(problems: list[int], seed: int) -> None:
    rows = [row(number, problem) for number, problem in enumerate(problems)]
    shuffled = ShuffledAnswers().rows(rows, lambda _: [], PROBLEMS, seed)
    assert Counter(one.problem_id for one in shuffled) == Counter(one.problem_id for one in rows)
    assert sorted(one.completion for one in shuffled) == sorted(one.completion for one in rows)
    if max(Counter(problems).values()) * 2 <= len(problems):
        assert all(one.completion.split(" of ")[1] != one.problem_id.split("-")[1] for one in shuffled)


def test_two_baselines_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two baselines are called random_selection"):
        toy_workflow(tmp_path, controls=(RandomSelection(), RandomSelection()))


def test_the_rows_to_draw_from_are_all_traces_right_or_wrong_with_the_prompt_of_training(run: RunFolder) -> None:
    workflow = toy_workflow(run.root.parent / "models" / "base", generations=2)
    context = of_finished_run(run, workflow, InlineCluster())
    problems = {problem.id: problem for problem in context.problems}
    rows, traces = sampled_rows(context, problems, 1), list(stored(run.generation(1)))
    assert [one.trace_id for one in rows] == [item.trace.id for item in traces]
    assert {item.verdict.outcome for item in traces} >= {Outcome.CORRECT, Outcome.WRONG}
    assert all(one.messages == workflow.prompter.messages(problems[one.problem_id]) for one in rows)
