"""Searching for traces under a reward model, on disk and in the loop, with a toy model that errs now and then."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pydantic
import pytest
from stepwise import LINES, SeesErrors, Stepwise, make_stepwise_model
from toy import Sums, toy_workflow

from selfimprove import Budget, InlineCluster, KeepCorrect, Sampling, UserError, improve
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.process_reward.search import Search
from selfimprove.process_reward.step_rewards import StepRewards
from selfimprove.records import GenerationReport
from selfimprove.sampling.sampling import requests_for
from selfimprove.stages.context import RunContext
from selfimprove.stages.score_steps import read_rewards
from selfimprove.stages.search import Searched, search
from selfimprove.storage.files import read_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored

PROBLEMS = Sums(size=12).load()
GUIDANCE = StepRewards(SeesErrors())


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stepwise, "calls", [])
    monkeypatch.setattr(Stepwise, "patience", [])
    monkeypatch.setattr(SeesErrors, "asked", [])


@pytest.fixture(scope="module")
def cluster() -> Iterator[InlineCluster]:
    with closing(InlineCluster()) as opened:
        yield opened


def searched(cluster: InlineCluster, folder: Path, method: Search, trees: int = 1, **decoding: object) -> Searched:
    model = folder / "model"
    if not model.exists():
        make_stepwise_model(model)
    checkpoint = describe_folder(model, "toy")
    workflow = toy_workflow(model, sampler=Stepwise())
    run = RunFolder(folder / "run")
    asked = requests_for(PROBLEMS, workflow.prompter, Sampling(**{"n": trees, "max_tokens": 200, **decoding}), "search")
    context = RunContext(workflow=workflow, run=run, cluster=cluster, base=checkpoint, problems=PROBLEMS, eval_problems=PROBLEMS)
    return search(context, GUIDANCE, method, checkpoint, asked, PROBLEMS, run.root / "search", "search")


def right(found: Searched) -> float:
    return sum(item.verdict.outcome == "correct" for item in found.traces) / len(found.traces)


def test_a_beam_finds_what_plain_samples_mostly_miss(cluster: InlineCluster, tmp_path: Path) -> None:
    plain = searched(cluster, tmp_path / "plain", Search(), trees=8)
    beam = searched(cluster, tmp_path / "beam", Search(width=2, expansions=4))
    assert right(plain) < 0.5 and right(beam) == 1
    assert [item.trace.id for item in beam.traces[:2]] == [f"{PROBLEMS[0].id}/search/s{n}" for n in range(2)] and len(beam.traces) == 24
    for item in beam.traces:
        assert re.fullmatch(r"<think>\n(\w+ \d!*\.\n){4}</think>\n-?\d+", item.trace.text)
        assert item.rewards == (0.9,) * LINES and item.verdict.trace_id == item.trace.id
    # The first round, the three that go on from two beginnings each, and the answers.
    requests = [len(call) for call in Stepwise.calls if "beam" not in call[0].id][-5:]
    assert requests == [12 * 8] * 5 and beam.scored == 5 * 12 * 8


def test_every_sampled_token_is_counted_and_no_more(cluster: InlineCluster, tmp_path: Path) -> None:
    beam = searched(cluster, tmp_path, Search(width=2, expansions=2))
    of_problem = dict.fromkeys(beam.tokens, 0)
    for number in range(5):
        for item in stored(tmp_path / "run" / "search" / f"round-{number:02d}"):
            of_problem[item.trace.problem_id] += len(item.trace.output_token_ids)
    assert beam.tokens == of_problem
    assert all(beam.tokens[problem.id] > sum(i.trace.output_tokens for i in beam.traces if i.trace.problem_id == problem.id) for problem in PROBLEMS)


def test_diverse_trees_are_searched_apart_from_each_other(cluster: InlineCluster, tmp_path: Path) -> None:
    trees = searched(cluster, tmp_path, Search(expansions=2), trees=3)
    assert [item.trace.id for item in trees.traces[:3]] == [f"{PROBLEMS[0].id}/search/s{n}" for n in range(3)] and len(trees.traces) == 36
    assert len({item.trace.text for item in trees.traces if item.trace.problem_id == PROBLEMS[0].id}) > 1


def test_hopeless_traces_are_stopped_early_and_the_others_are_gone_on_with(cluster: InlineCluster, tmp_path: Path) -> None:
    found = searched(cluster, tmp_path, Search(stop_below=0.5), trees=8)
    hopeless = [item for item in found.traces if item.trace.finish_reason == "hopeless"]
    assert hopeless and len(found.traces) == 96
    for item in hopeless:
        assert item.trace.text.count("bad") == 1 and item.trace.text.rstrip(".!\n")[:-1].endswith("bad ") and item.verdict.outcome == "unparseable"
    assert all(item.verdict.outcome == "correct" for item in found.traces if item not in hopeless)
    assert right(found) == right(searched(cluster, tmp_path / "all", Search(), trees=8)), "the same traces end right, for fewer tokens"


@pytest.mark.parametrize("patience", [1, 100])
def test_a_stopped_search_goes_on_where_it_stopped_and_ends_the_same(cluster: InlineCluster, tmp_path: Path, patience: int) -> None:
    method = Search(width=2, expansions=2)
    expected = searched(cluster, tmp_path / "whole", method)
    Stepwise.patience.append(patience)
    with pytest.raises(KeyboardInterrupt):
        searched(cluster, tmp_path / "stopped", method)
    Stepwise.patience.clear()
    Stepwise.calls.clear()
    assert searched(cluster, tmp_path / "stopped", method) == expected
    assert [len(call) for call in Stepwise.calls] == [48] * (5 - (patience - 1) // 48)
    Stepwise.calls.clear()
    SeesErrors.asked.clear()
    assert searched(cluster, tmp_path / "stopped", method) == expected and not Stepwise.calls and not SeesErrors.asked
    with pytest.raises(UserError, match="search was made with different search"):
        searched(cluster, tmp_path / "stopped", Search(width=2, expansions=3))


def test_a_token_limit_holds_for_the_whole_trace(cluster: InlineCluster, tmp_path: Path) -> None:
    found = searched(cluster, tmp_path, Search(), max_tokens=30)
    assert {item.trace.finish_reason for item in found.traces} == {"length"} and all(len(item.trace.output_token_ids) <= 30 for item in found.traces)


def test_a_budget_and_a_search_exclude_each_other(cluster: InlineCluster, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="remove the budget from sampling"):
        searched(cluster, tmp_path, Search(), budget=Budget(max_tokens=4))


def test_the_loop_stops_hopeless_traces_and_drops_right_ones_with_a_bad_thought(tmp_path: Path) -> None:
    model = make_stepwise_model(tmp_path / "model")
    settings = {"sampler": Stepwise(), "sampling": Sampling(n=4, max_tokens=200), "generations": 1, "answer_only_baseline": False}
    stopping = StepRewards(SeesErrors(), search=Search(stop_below=0.5))
    improve(toy_workflow(model, process_reward=stopping, **settings), tmp_path / "stopping", InlineCluster)
    report = read_json(tmp_path / "stopping" / "generation-01" / "report.json", GenerationReport)
    assert report.counts.sampled == 100 and 0 < report.counts.hopeless == report.drops["hopeless"] < 100
    assert report.saved_tokens > 0
    traces = [item.trace for item in stored(tmp_path / "stopping" / "generation-01")]
    assert len(traces) == 100 and report.tokens["sample"] > sum(trace.output_tokens for trace in traces)

    choosy = KeepCorrect(lowest_step=0.95)
    with pytest.raises(UserError, match="bad step"):
        improve(toy_workflow(model, process_reward=StepRewards(SeesErrors()), selector=choosy, **settings), tmp_path / "choosy", InlineCluster)
    rewards = read_rewards(tmp_path / "choosy" / "generation-01")
    judged = list(stored(tmp_path / "choosy" / "generation-01"))
    assert rewards.keys() == {item.trace.id for item in judged} and all(len(rewards[item.trace.id]) == LINES for item in judged)


def test_settings_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(pydantic.ValidationError, match="set process_reward"):
        toy_workflow(tmp_path, selector=KeepCorrect(lowest_step=0.5))
    with pytest.raises(pydantic.ValidationError, match="width of 1"):
        StepRewards(SeesErrors(), search=Search(width=2))
