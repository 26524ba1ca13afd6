"""Prompters evaluated and searched with toy parts in this process, and the two workflow files that do so."""

from __future__ import annotations

import importlib
import json
import random
import re
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import WORKFLOWS
from toy import EXEMPLAR, Sums, ToySampler, make_toy_model, toy_workflow

from selfimprove import Exemplar, FewShot, InlineCluster, LastNumber, Sampling, UserError, Workflow, ZeroShot
from selfimprove.prompting.trigger_search import KOJIMA
from selfimprove.records import Checkpoint, Request, Trace
from selfimprove.stages.context import RunContext, open_run_context
from selfimprove.studies.prompt_search import evaluate_prompters, rows, search_prompters

pytestmark = pytest.mark.slow

BEST = "Let's add slowly."
PROPOSALS = (BEST, f'"{KOJIMA}"', "Let's add.", "y" * 200)


class Heeding(ToySampler):
    """Right with the probability in its system prompt, or else by its trigger; proposes four triggers. Fails once its patience is used up."""

    asked: list[str] = []  # noqa: RUF012
    patience = 10**9

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        if len(self.asked) >= self.patience:
            raise RuntimeError("enough")
        self.asked.append(request.id)
        if request.problem_id == "trigger":
            text = PROPOSALS[int(request.id.rpartition("/s")[2])]
        else:
            system, question = request.messages[0]["content"], request.messages[-1]["content"]
            skill = float(system) if system[0].isdigit() else 0.9 if BEST in question else 0.3
            left, right = map(int, re.findall(r"\d+", question))
            text = f"I add. It is {left + right}." if random.Random(request.seed).random() < skill else "I cannot."
        return Trace(request.id, request.problem_id, checkpoint.id, (1,), (1, 2), text, (), "stop", request.temperature, request.seed)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_model(tmp_path_factory.mktemp("toy") / "model", 0.5)


@pytest.fixture(autouse=True)
def fresh_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    Heeding.asked.clear()
    monkeypatch.setattr(Heeding, "patience", 10**9)


@pytest.fixture(scope="module")
def new_context(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[RunContext]]:
    """Contexts of new runs, which share one warm cluster."""
    shared = InlineCluster()
    end, shared.close = shared.close, lambda: None  # type: ignore[method-assign]

    def contexts() -> Iterator[RunContext]:
        for _ in count():
            with open_run_context(workflow(model), tmp_path_factory.mktemp("run"), lambda: shared) as context:
                yield context

    yield contexts()
    end()


def workflow(model: Path) -> Workflow:
    return toy_workflow(model, problems=Sums(80), sampler=Heeding(), verifier=LastNumber(), eval_sampling=Sampling(n=1, temperature=0.0))


def stating(skill: float) -> ZeroShot:
    return ZeroShot("Go.", str(skill))


@settings(max_examples=15)
@given(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=1, max_size=9), st.integers(8, 40))
def test_halving_asks_no_problem_of_the_evaluation_none_twice_and_keeps_the_better_half(
    new_context: Iterator[RunContext], skills: list[float], problems: int
) -> None:
    context = next(new_context)
    Heeding.asked.clear()
    candidates = {f"way {number}": stating(skill) for number, skill in enumerate(skills)}
    development = context.problems[:problems]
    winner, rounds = search_prompters(context, candidates, development)

    asked = [trace_id.split("/")[0] for trace_id in Heeding.asked]
    assert len(Heeding.asked) == len(set(Heeding.asked)) <= len(skills) * problems
    assert set(asked) <= {problem.id for problem in development} and not set(asked) & {problem.id for problem in context.eval_problems}

    left = tuple(candidates)
    for one in rounds:
        assert tuple(one.standings) == left and set(one.kept) < set(left) and len(one.kept) == (len(left) + 1) // 2
        rates = {name: standing.score.pass_at_1 for name, standing in one.standings.items()}
        assert min(rates[name] for name in one.kept) >= max(rates[name] for name in left if name not in one.kept)
        assert all(standing.score.problems == one.problems for standing in one.standings.values())
        left = one.kept
    assert left == (winner,) and (not rounds or rounds[-1].problems == problems)


@settings(max_examples=10)
@given(st.integers(1, 9), st.data())
def test_a_way_that_is_always_right_is_found_among_any_that_never_are(new_context: Iterator[RunContext], many: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, many - 1))
    candidates = {str(number): stating(1.0 if number == right else 0.0) for number in range(many)}
    context = next(new_context)
    assert search_prompters(context, candidates, context.problems[:8])[0] == str(right)


def test_exemplar_sets_are_searched_the_same_way(new_context: Iterator[RunContext]) -> None:
    context, other = next(new_context), Exemplar("What is 4 + 4?", "4 + 4 = 8.", "8")
    sets = {"one": FewShot((EXEMPLAR,), "0.2"), "two": FewShot((EXEMPLAR, other), "0.9"), "other": FewShot((other,), "0.2")}
    winner, rounds = search_prompters(context, sets, context.problems[:40])
    assert winner == "two" and [one.problems for one in rounds] == [20, 40]


def test_a_problem_of_the_evaluation_and_an_empty_search_are_refused(new_context: Iterator[RunContext]) -> None:
    context = next(new_context)
    with pytest.raises(UserError, match=f"problem {context.eval_problems[0].id} is an evaluation problem; search on others"):
        search_prompters(context, {"a": stating(0.5)}, context.eval_problems[:1])
    with pytest.raises(UserError, match="nothing to search"):
        search_prompters(context, {}, context.problems)


def test_prompters_are_asked_in_one_batch_and_compared_problem_by_problem(new_context: Iterator[RunContext]) -> None:
    context = next(new_context)
    found = evaluate_prompters(context, {"never": stating(0.0), "always": stating(1.0)}, context.eval_problems, "evaluation")
    never, always = rows(found, against="never")
    assert (never["accuracy"], never["unparseable"], never["comparison"]) == (0.0, 1.0, None)
    assert (always["accuracy"], always["unparseable"], always["tokens"], always["cut"]) == (1.0, 0.0, 2.0, 0.0)
    assert always["comparison"]["gained"] == len(context.eval_problems) and always["comparison"]["test"] == "McNemar exact"
    assert always["interval"][0] < 1.0 == always["interval"][1]


def load_workflow(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    module = importlib.import_module(name)
    for loaded in ("quickstart", "chain_of_thought", "trigger_search"):
        monkeypatch.delitem(sys.modules, loaded, raising=False)
    return module


def test_the_chain_of_thought_workflow_compares_every_way_with_the_answer_alone(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load_workflow("chain_of_thought", monkeypatch)
    result = module.main(workflow(model), folder=tmp_path / "run", start_cluster=InlineCluster)
    assert [row["name"] for row in result] == list(module.WAYS) and len(Heeding.asked) == 15 * len(module.WAYS)
    assert [row["comparison"] is None for row in result] == [True, False, False, False]
    assert json.loads((tmp_path / "run/result.json").read_text()) == result
    printed = capsys.readouterr().out
    table = [line for line in printed.splitlines() if not line.startswith("run toy in ")]
    assert max(map(len, table)) <= 80 and "…" not in printed
    assert "zero-shot trigger" in printed and f"{result[1]['comparison']['difference']:+.3f}" in printed
    assert module.EVALUATION.base_model == "smollm2-135m-instruct" and module.main.__defaults__[0] is module.EVALUATION


def test_the_trigger_search_workflow_finds_the_proposal_that_is_better_and_continues_where_it_stopped(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load_workflow("trigger_search", monkeypatch)

    def run(folder: Path) -> dict[str, object]:
        return module.main(workflow(model), proposals=Sampling(n=4), development=48, folder=folder, start_cluster=InlineCluster)

    result = run(tmp_path / "run")
    assert result["winner"] == BEST and result["proposed"] == 2 and result["dropped"] == {"duplicate": 1, "long": 1}
    assert [(len(one["candidates"]), one["problems"]) for one in result["rounds"]] == [(7, 12), (4, 24), (2, 48)]
    baseline, best = result["evaluation"]
    assert baseline["name"] == KOJIMA and best["comparison"]["p_better"] < 0.05
    assert json.loads((tmp_path / "run/result.json").read_text()) == result
    printed = capsys.readouterr().out
    assert re.search(rf"{BEST} +winner +48 ", printed) and all(trigger in " ".join(printed.split()) for trigger in ("Let's add.", "logically."))

    everything = list(Heeding.asked)
    assert run(tmp_path / "run") == result and Heeding.asked == everything, "a finished search is read from disk"

    Heeding.asked.clear()
    monkeypatch.setattr(Heeding, "patience", 4 + 7 * 12 + 10)
    with pytest.raises(RuntimeError, match="enough"):
        run(tmp_path / "stopped")
    monkeypatch.setattr(Heeding, "patience", 10**9)
    Heeding.asked.clear()
    assert run(tmp_path / "stopped") == result
    assert len(Heeding.asked) == len(everything) - 4 - 7 * 12 - 10, "nothing that was verified is sampled again"
