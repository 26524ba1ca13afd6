"""The loop, with toy parts in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from killable import sums_without
from toy import Sums, ToySampler, ToyTrainer, make_toy_model, skill_of, toy_workflow

from selfimprove import AlwaysPromote, InlineCluster, Replay, StopEarly, StrictGate, UserError, improve
from selfimprove.records import AcceptedTrace, JudgedTrace, LedgerEntry, Outcome, Problem, Trace, TrainingStep
from selfimprove.reports.table import summarize
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored
from selfimprove.terminal.progress import NoProgress


class Lines(NoProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@dataclass(frozen=True)
class Listed:
    """These problems."""

    problems: tuple[Problem, ...]

    def load(self) -> list[Problem]:
        return list(self.problems)


@dataclass(frozen=True)
class Gossip(ToySampler):
    """Talks about another question in half of its traces."""

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        trace = super()._trace(checkpoint, request)
        return replace(trace, text=trace.text.replace("<think>", "<think>What is 3 + 3? ")) if request.seed % 2 else trace


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_toy_model(tmp_path / "model", 0.2)


NAMED = {"sampling.manifest.json", "training.manifest.json", "fitting.manifest.json"}
"""Files that name the class of a part: their hashes differ between runs with different classes."""


def files_of(root: Path) -> dict[str, bytes]:
    """Everything that a run leaves on disk but times and logs."""
    skipped = {"seconds.json", "report.json", "report.html", "mlflow.json"}
    return {
        str(path.relative_to(root)): path.read_bytes() if path.name != "SHA256SUMS" else sums_without({*skipped, *NAMED}, path)
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
    assert set(first["seconds"]) == {"sample", "select", "train", "evaluate"}
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


def test_training_and_evaluation_share_no_question(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model), tmp_path / "run", InlineCluster)
    train, eval_problems = (
        {problem["question"] for problem in json.loads((tmp_path / f"run/problems/{name}.json").read_text())} for name in ("train", "eval")
    )
    assert len(eval_problems) == 15 and len(train) == 25 and not train & eval_problems


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
    # The two runs differ in the class of one part, by name.
    assert {Path(name).name for name in broken if broken[name] != whole.get(name)} == {"workflow.json", "sampling.manifest.json"}
    assert broken.keys() == whole.keys()


def test_a_run_that_broke_while_training_ends_as_an_undisturbed_one(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model), tmp_path / "whole", InlineCluster)
    BreakingTrainer.trainings = 0
    workflow = toy_workflow(model, trainer=BreakingTrainer())
    with pytest.raises(Breaks):
        improve(workflow, tmp_path / "broken", InlineCluster)
    improve(workflow, tmp_path / "broken", InlineCluster)
    broken, whole = files_of(tmp_path / "broken"), files_of(tmp_path / "whole")
    assert {Path(name).name for name in broken if broken[name] != whole.get(name)} == {
        "workflow.json",
        "training.manifest.json",
        "fitting.manifest.json",
    }


def test_a_finished_run_is_only_read(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model), tmp_path / "run", InlineCluster)
    before = files_of(tmp_path / "run")
    BreakingSampler.left = 1
    assert improve(toy_workflow(model), tmp_path / "run", InlineCluster).id == "generation-2"
    assert files_of(tmp_path / "run") == before


def test_more_generations_go_on_where_the_run_ended(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model, generations=1), tmp_path / "run", InlineCluster)
    improve(toy_workflow(model, generations=2), tmp_path / "run", InlineCluster)
    run = RunFolder(tmp_path / "run")
    assert [row["generation"] for row in summarize(run)["generations"]] == [0, 1, 2]
    assert run.baselines()["answer_only"].checkpoint_id == "answer-only-2", "the baseline follows the last candidate"


def test_another_workflow_is_refused_by_the_name_of_the_difference(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model, generations=1), tmp_path / "run", InlineCluster)
    with pytest.raises(UserError, match=r"another workflow: seed: 0 → 5; use another --run-dir"):
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


def test_the_ledger_counts_every_problem_of_both_sets_in_every_generation(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model), tmp_path / "run", InlineCluster)
    for number in (1, 2):
        rows = read_records(tmp_path / f"run/generation-0{number}/ledger.parquet", LedgerEntry)
        report = RunFolder(tmp_path / "run").reports()[number]
        assert [sum(row.set == name for row in rows) for name in ("train", "eval")] == [25, 15]
        assert sum(row.right for row in rows if row.set == "train") == report.counts.verified
        assert {row.problem_id: (row.right, row.samples) for row in rows if row.set == "eval"} == report.score.solved
        assert report.coverage is not None and len(report.coverage.newly_solved) <= 15


def test_a_run_that_brings_nothing_more_stops_early_and_says_why(tmp_path: Path) -> None:
    model, said = make_toy_model(tmp_path / "able", 0.7), Lines()
    workflow = toy_workflow(model, trainer=ToyTrainer(gain=0.0), gate=StrictGate(), stop=StopEarly(patience=2), generations=5)
    improve(workflow, tmp_path / "run", InlineCluster, progress=said)
    assert [report.generation for report in RunFolder(tmp_path / "run").reports()] == [0, 1, 2]
    assert "stopped early: no candidate was promoted in 2 generations: a plateau" in said.lines
    summary = summarize(RunFolder(tmp_path / "run"))
    assert summary["complete"] and summary["kept_generation"] == 0


def test_problems_and_traces_that_give_the_evaluation_away_are_not_trained_on(model: Path, tmp_path: Path) -> None:
    said = Lines()
    leaks = Listed((Problem("leak-1", "Listen: What is 3 + 3?", "6", "toy"), *Sums(size=25, first=40).load()))
    evaluation = Listed(tuple(Sums(size=15).load()))
    improve(toy_workflow(model, problems=leaks, eval_problems=evaluation, generations=1), tmp_path / "run", InlineCluster, progress=said)
    assert "1 problems are left out: they give evaluation problems away" in said.lines
    assert "leak-1" not in (tmp_path / "run/problems/train.json").read_text()

    gossip = toy_workflow(model, problems=Sums(size=25, first=40), eval_problems=evaluation, sampler=Gossip(), generations=1)
    improve(gossip, tmp_path / "gossip", InlineCluster)
    report = RunFolder(tmp_path / "gossip").reports()[1]
    assert report.drops["contaminated"] > 0
    assert report.counts.accepted + report.drops["contaminated"] == report.counts.verified


def test_an_emptied_training_set_ends_before_anything_is_sampled(model: Path, tmp_path: Path) -> None:
    leaks = Listed((Problem("leak-1", "Listen: What is 3 + 3?", "6", "toy"),))
    workflow = toy_workflow(model, problems=leaks, eval_problems=Listed(tuple(Sums(size=15).load())), generations=1)

    def no_cluster() -> InlineCluster:
        raise AssertionError("compute was asked for")

    with pytest.raises(UserError, match=r"leaves out all 1 problems to learn from \(leak-1 gives sum-3 away\); raise contamination\.share"):
        improve(workflow, tmp_path / "run", no_cluster)


def test_every_generation_has_the_tokenizer_of_the_base(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model), tmp_path / "run", InlineCluster)
    assert len({report.candidate.tokenizer_hash for report in RunFolder(tmp_path / "run").reports()}) == 1


def test_an_open_gate_promotes_even_what_is_worse(tmp_path: Path) -> None:
    model = make_toy_model(tmp_path / "able", 0.7)
    champion = improve(toy_workflow(model, trainer=ToyTrainer(gain=-0.05), gate=AlwaysPromote()), tmp_path / "run", InlineCluster)
    assert champion.id == "generation-2"


@pytest.mark.parametrize("start_from", ["base", "champion"])
def test_training_starts_from_the_base_or_from_the_champion(model: Path, tmp_path: Path, start_from: str) -> None:
    improve(toy_workflow(model, start_from=start_from), tmp_path / "run", InlineCluster)
    second = RunFolder(tmp_path / "run").reports()[2]
    assert second.candidate.parent_id == {"base": "base", "champion": "generation-1"}[start_from]


@pytest.mark.parametrize(("start_from", "trainings"), [("base", [2]), ("champion", [1, 2])])
def test_the_answer_only_baseline_repeats_the_trainings_that_made_the_last_candidate(
    model: Path, tmp_path: Path, start_from: str, trainings: list[int]
) -> None:
    improve(toy_workflow(model, start_from=start_from), tmp_path / "run", InlineCluster)
    steps = [len(read_json(tmp_path / f"run/generation-0{number}/training.json", list[TrainingStep])) for number in trainings]
    folders = sorted((tmp_path / "run/baselines/answer_only").glob("generation-*"))
    assert [folder.name for folder in folders] == [f"generation-0{number}" for number in trainings]
    assert [len(read_json(folder / "training.json", list[TrainingStep])) for folder in folders] == steps


@pytest.mark.parametrize("earlier", [True, False])
def test_earlier_accepted_traces_are_replayed_or_not(model: Path, tmp_path: Path, earlier: bool) -> None:
    improve(toy_workflow(model, mixture=Replay(earlier=earlier)), tmp_path / "run", InlineCluster)
    rows = read_records(tmp_path / "run/generation-02/rows.parquet", AcceptedTrace)
    assert {row.generation for row in rows} == ({1, 2} if earlier else {2})


def test_a_problem_drawn_in_one_generation_only_is_sampled_there_alone(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model, problems_per_generation=10), tmp_path / "run", InlineCluster)
    drawn = [{trace.problem_id for trace in read_records(tmp_path / f"run/generation-0{n}/traces/shard-00000.parquet", Trace)} for n in (1, 2)]
    assert [len(ids) for ids in drawn] == [10, 10] and drawn[0] != drawn[1]


@pytest.mark.parametrize("help_", [0.3, 0.8])
def test_problems_at_the_cap_of_accepted_traces_are_not_sampled_again(model: Path, tmp_path: Path, help_: float) -> None:
    run = tmp_path / "run"
    improve(toy_workflow(model, sampler=ToySampler(help=help_), accepted_cap=1, mixture=Replay(per_problem=1)), run, InlineCluster)
    solved = {row.problem_id for row in read_records(run / "generation-01/accepted.parquet", AcceptedTrace)}
    sampled = {trace.problem_id for file in run.glob("generation-02/traces/*.parquet") for trace in read_records(file, Trace)}
    everything = {problem["id"] for problem in json.loads((run / "problems/train.json").read_text())}
    assert sampled == everything - solved and solved
    assert bool(sampled) == (help_ < 0.8)
    rows = [row.problem_id for row in read_records(run / "generation-02/rows.parquet", AcceptedTrace)]
    assert len(rows) == len(set(rows)) and solved <= set(rows)


def test_a_users_own_gate_and_selector(model: Path, tmp_path: Path) -> None:
    from selfimprove import KeepCorrect
    from selfimprove.protocols import Selector
    from selfimprove.records import Decision, Selection

    class Shortest(Selector):
        def select(self, judged, prompts, generation):  # type: ignore[no-untyped-def]
            kept: list[JudgedTrace] = [item for item in judged if item.verdict.outcome is Outcome.CORRECT][:3]
            return Selection(KeepCorrect().select(kept, prompts, generation).accepted, {"fourth or later": 1})

    class Never:
        def decide(self, champion, candidate):  # type: ignore[no-untyped-def]
            return Decision(False, "never")

    champion = improve(toy_workflow(model, selector=Shortest(), gate=Never()), tmp_path / "run", InlineCluster)
    report = RunFolder(tmp_path / "run").reports()[1]
    assert champion.id == "base" and report.counts.accepted == 3 and report.drops == {"fourth or later": 1}


@dataclass(frozen=True)
class Interrupted(ToySampler):
    """Notes each request in a file; Ctrl-C comes at the request with the number in another file, if that is there."""

    notes: str = ""

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        asked, stop = Path(self.notes) / "asked", Path(self.notes) / "stop"
        if stop.exists() and len(asked.read_text().split("\n")) > int(stop.read_text()):
            raise KeyboardInterrupt
        with asked.open("a") as file:
            file.write(f"{request.id}\n")
        return super()._trace(checkpoint, request)


def test_ctrl_c_loses_nothing_that_was_verified(model: Path, tmp_path: Path) -> None:
    requests = {}
    for name, stops in (("whole", []), ("stopped", [3, 21, 60])):
        notes = tmp_path / name
        notes.mkdir()
        (notes / "asked").touch()
        workflow = toy_workflow(model, sampler=Interrupted(notes=str(notes)))
        for stop in stops:
            (notes / "stop").write_text(str(stop))
            with pytest.raises(KeyboardInterrupt):
                improve(workflow, tmp_path / "runs" / name, InlineCluster)
        (notes / "stop").unlink(missing_ok=True)
        improve(workflow, tmp_path / "runs" / name, InlineCluster)
        requests[name] = (notes / "asked").read_text().split("\n")
    assert len(requests["stopped"]) == len(set(requests["stopped"])), "no request was sampled twice"
    assert requests["stopped"] == requests["whole"]
    whole, stopped = (list(stored(tmp_path / "runs" / name / "generation-02")) for name in requests)
    assert whole == stopped and len(whole) == 50 and not list((tmp_path / "runs").rglob("unfinished"))
