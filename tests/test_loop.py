"""The loop, with toy parts in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy import Sums, ToySampler, ToyTrainer, make_toy_model, skill_of, toy_workflow

from selfimprove import Always, InlineCluster, Outcome, Replay, UserError, improve
from selfimprove.records import AcceptedTrace, JudgedTrace, Trace
from selfimprove.reporting.summary import summarize
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_toy_model(tmp_path / "model", 0.2)


def files_of(root: Path) -> dict[str, bytes]:
    """Everything that a run leaves on disk but times and logs."""
    skipped = {"seconds.json", "report.json", "mlflow.json"}
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in skipped and "logs" not in path.parts
    }


def test_a_run_improves_the_model_and_keeps_the_champion(model: Path, tmp_path: Path) -> None:
    champion = improve(toy_workflow(model), tmp_path / "run", InlineCluster)
    summary = summarize(RunFolder(tmp_path / "run"))
    rates = [row["pass_at_1"] for row in summary["generations"]]
    assert summary["complete"] and len(rates) == 3
    assert rates[-1] > rates[0]
    assert skill_of(champion.path) > 0.2
    assert (tmp_path / "run" / "champion").resolve() == Path(champion.path)
    assert summary["kept"] == champion.path


def test_the_report_begins_as_programs_expect(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model), tmp_path / "run", InlineCluster)
    summary = json.loads(json.dumps(summarize(RunFolder(tmp_path / "run"))))
    assert list(summary)[:3] == ["generations", "baselines", "kept"]
    first = summary["generations"][1]
    assert list(first)[:3] == ["generation", "pass_at_1", "interval"]
    assert first["sampled"] == 50 and 0 < first["accepted"] <= first["verified"] <= first["sampled"]
    assert set(first["seconds"]) == {"sample", "select", "train", "examine"}
    assert set(summary["baselines"]) == {"few_shot", "answer_only"}
    assert summary["baselines"]["answer_only"] < first["pass_at_1"]


def test_accepted_traces_are_right_and_carry_the_bare_question(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model), tmp_path / "run", InlineCluster)
    rows = read_records(tmp_path / "run/generation-01/accepted.parquet", AcceptedTrace)
    references = {problem.id: problem.answer for problem in Sums().load()}
    assert rows
    for row in rows:
        assert row.completion.endswith(references[row.problem_id])
        assert [message["role"] for message in row.messages] == ["system", "user"]


def test_training_and_exam_share_no_question(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model), tmp_path / "run", InlineCluster)
    train, held_out = (
        {problem["question"] for problem in json.loads((tmp_path / f"run/problems/{name}.json").read_text())} for name in ("train", "held_out")
    )
    assert len(held_out) == 15 and len(train) == 25 and not train & held_out


class Breaks(Exception):
    """What stops a run in these tests."""


class BreakingSampler(ToySampler):
    """Fails at its n-th trace."""

    left = 0

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        type(self).left -= 1
        if type(self).left == 0:
            raise Breaks
        return super()._trace(checkpoint, request)


class BreakingTrainer(ToyTrainer):
    """Fails in the middle of its second training."""

    trainings = 0

    def train(self, start, rows, into, seed):  # type: ignore[no-untyped-def]
        type(self).trainings += 1
        steps = super().train(start, rows, into, seed)
        if type(self).trainings == 2:
            next(steps)
            raise Breaks
        yield from steps


@pytest.mark.parametrize("traces", [1, 20, 60, 90, 130])
def test_a_run_that_broke_while_sampling_ends_as_an_undisturbed_one(
    model: Path, tmp_path: Path, traces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfimprove.storage.shards.SHARD", 16)
    improve(toy_workflow(model), tmp_path / "whole", InlineCluster)
    BreakingSampler.left = traces
    workflow = toy_workflow(model, sampler=BreakingSampler())
    with pytest.raises(Breaks):
        improve(workflow, tmp_path / "broken", InlineCluster)
    improve(workflow, tmp_path / "broken", InlineCluster)
    broken, whole = files_of(tmp_path / "broken"), files_of(tmp_path / "whole")
    assert {name for name in broken if broken[name] != whole.get(name)} == {"workflow.json"}
    assert broken.keys() == whole.keys()


def test_a_run_that_broke_while_training_ends_as_an_undisturbed_one(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model), tmp_path / "whole", InlineCluster)
    BreakingTrainer.trainings = 0
    workflow = toy_workflow(model, trainer=BreakingTrainer())
    with pytest.raises(Breaks):
        improve(workflow, tmp_path / "broken", InlineCluster)
    improve(workflow, tmp_path / "broken", InlineCluster)
    broken, whole = files_of(tmp_path / "broken"), files_of(tmp_path / "whole")
    assert {name for name in broken if broken[name] != whole.get(name)} == {"workflow.json"}


def test_a_finished_run_is_only_read(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model), tmp_path / "run", InlineCluster)
    before = files_of(tmp_path / "run")
    BreakingSampler.left = 1
    assert improve(toy_workflow(model), tmp_path / "run", InlineCluster).id == "generation-2"
    assert files_of(tmp_path / "run") == before


def test_more_generations_go_on_where_the_run_ended(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model, generations=1), tmp_path / "run", InlineCluster)
    improve(toy_workflow(model, generations=2), tmp_path / "run", InlineCluster)
    assert [row["generation"] for row in summarize(RunFolder(tmp_path / "run"))["generations"]] == [0, 1, 2]


def test_another_workflow_is_refused_by_the_name_of_the_difference(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model, generations=1), tmp_path / "run", InlineCluster)
    with pytest.raises(UserError, match=r"another workflow: seed: 0 → 5; give another --run-dir"):
        improve(toy_workflow(model, generations=1, seed=5), tmp_path / "run", InlineCluster)


def test_a_folder_with_something_else_in_it_is_left_alone(model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not empty and holds no run"):
        improve(toy_workflow(model), tmp_path / "mine", InlineCluster)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_base_model_too_weak_for_one_accepted_trace_ends_with_advice_and_keeps_the_traces(tmp_path: Path) -> None:
    weak = make_toy_model(tmp_path / "weak", 0.0)
    with pytest.raises(UserError, match=r"generation 1: no trace was accepted \(50 wrong\).*exemplars"):
        improve(toy_workflow(weak, sampler=ToySampler(help=0.0)), tmp_path / "run", InlineCluster)
    assert list((tmp_path / "run/generation-01/traces").glob("*.parquet"))


def test_a_candidate_that_is_worse_does_not_become_champion(tmp_path: Path) -> None:
    model = make_toy_model(tmp_path / "able", 0.7)
    champion = improve(toy_workflow(model, trainer=ToyTrainer(gain=-0.05)), tmp_path / "run", InlineCluster)
    assert champion.id == "base"
    rows = summarize(RunFolder(tmp_path / "run"))["generations"]
    assert [row["promoted"] for row in rows[1:]] == [False, False] and "<" in rows[1]["why"]


def test_an_open_gate_promotes_even_what_is_worse(tmp_path: Path) -> None:
    model = make_toy_model(tmp_path / "able", 0.7)
    champion = improve(toy_workflow(model, trainer=ToyTrainer(gain=-0.05), gate=Always()), tmp_path / "run", InlineCluster)
    assert champion.id == "generation-2"


@pytest.mark.parametrize("start_from", ["base", "champion"])
def test_training_starts_from_the_base_or_from_the_champion(model: Path, tmp_path: Path, start_from: str) -> None:
    improve(toy_workflow(model, start_from=start_from), tmp_path / "run", InlineCluster)
    second = RunFolder(tmp_path / "run").reports()[2]
    assert second.candidate.parent_id == {"base": "base", "champion": "generation-1"}[start_from]


@pytest.mark.parametrize("earlier", [True, False])
def test_earlier_accepted_traces_are_replayed_or_not(model: Path, tmp_path: Path, earlier: bool) -> None:
    improve(toy_workflow(model, mixture=Replay(earlier=earlier)), tmp_path / "run", InlineCluster)
    rows = read_records(tmp_path / "run/generation-02/rows.parquet", AcceptedTrace)
    assert {row.generation for row in rows} == ({1, 2} if earlier else {2})


def test_a_problem_drawn_in_one_generation_only_is_sampled_there_alone(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model, problems_per_generation=10), tmp_path / "run", InlineCluster)
    drawn = [{trace.problem_id for trace in read_records(tmp_path / f"run/generation-0{n}/traces/shard-00000.parquet", Trace)} for n in (1, 2)]
    assert [len(ids) for ids in drawn] == [10, 10] and drawn[0] != drawn[1]


def test_a_users_own_gate_and_selector_need_no_base_class(model: Path, tmp_path: Path) -> None:
    from selfimprove import Decision, KeepCorrect, Selection

    class Shortest:
        def select(self, judged, prompts, generation):  # type: ignore[no-untyped-def]
            kept: list[JudgedTrace] = [item for item in judged if item.verdict.outcome is Outcome.CORRECT][:3]
            return Selection(KeepCorrect().select(kept, prompts, generation).accepted, {"fourth or later": 1})

    class Never:
        def decide(self, champion, candidate):  # type: ignore[no-untyped-def]
            return Decision(False, "never")

    champion = improve(toy_workflow(model, selector=Shortest(), gate=Never()), tmp_path / "run", InlineCluster)
    report = RunFolder(tmp_path / "run").reports()[1]
    assert champion.id == "base" and report.counts["accepted"] == 3 and report.drops == {"fourth or later": 1}
