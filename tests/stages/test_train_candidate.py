"""Candidates that are made from rows, from pairs and by practice, with toy parts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from killable import sums_without
from toy import Sums, ToyPractice, ToyPreference, ToySampler, ToyTrainer, make_toy_model, skill_of, toy_workflow

from selfimprove import InlineCluster, PreferencePairs, Replay, Round, Sampling, UserError, Workflow, improve
from selfimprove.protocols.no_tracker import NoTracker
from selfimprove.records import AcceptedTrace, Pair, TrainingStep, VerifierRow
from selfimprove.reports.table import summarize
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored


class Steps(NoTracker):
    """Keeps the steps that it is told."""

    def __init__(self) -> None:
        self.steps: dict[int, list[TrainingStep]] = {}

    def log_training(self, generation, steps):  # type: ignore[no-untyped-def]
        self.steps[generation] = list(steps)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_toy_model(tmp_path / "model", 0.2)


def contrasting(model: Path, **changes: object) -> Workflow:
    return toy_workflow(model, preference_pairs=PreferencePairs(trainer=ToyPreference(), verdicts_per_problem=4), **changes)


def mixed(model: Path, **changes: object) -> Workflow:
    """A cold start, practice, and rejection sampling from the base."""
    practice = Round(start_from="champion", sampling=Sampling(n=4, max_tokens=32), reinforcement=ToyPractice())
    return toy_workflow(model, **{"generations": 3, "rounds": (Round(), practice, Round(mixture=Replay(earlier=False))), **changes})


def test_pairs_train_on_from_the_supervised_candidate(model: Path, tmp_path: Path) -> None:
    told = Steps()
    improve(contrasting(model), tmp_path / "run", InlineCluster, told)
    run = RunFolder(tmp_path / "run")
    for report in run.reports()[1:]:
        folder = run.generation(report.generation)
        pairs, rows = read_records(folder / "pairs.parquet", Pair), read_records(folder / "rows.parquet", AcceptedTrace)
        assert report.counts.pairs == len(pairs) > 0 and report.counts.trained_on == len(rows)
        assert max(Counter(pair.problem_id for pair in pairs).values()) <= 2
        accepted = {row.trace_id for row in read_records(folder / "accepted.parquet", AcceptedTrace)}
        wrong = {item.trace.id for item in stored(folder) if item.verdict.outcome == "wrong"}
        assert all(pair.chosen_id in accepted and pair.rejected_id in wrong for pair in pairs)

        candidate = report.candidate
        assert (candidate.id, candidate.parent_id) == (f"generation-{report.generation}", "base")
        assert Path(candidate.path) == folder / "preference" / "checkpoint"
        assert skill_of(candidate.path) == pytest.approx(min(0.95, skill_of(folder / "checkpoint") + 0.02 * len(pairs)))
        steps = told.steps[report.generation]
        assert [step.step for step in steps] == list(range(1, len(rows) + len(pairs) + 1)) and {step.steps for step in steps[len(rows) :]} == {
            len(steps)
        }
        assert report.tokens["train"] == steps[-1].tokens == 10 * len(rows) + 20 * len(pairs)
    assert summarize(run)["complete"]


def test_the_data_for_a_verifier_is_of_all_generations_so_far_and_balanced(model: Path, tmp_path: Path) -> None:
    improve(contrasting(model), tmp_path / "run", InlineCluster)
    questions = {problem["id"]: problem["question"] for problem in json.loads((tmp_path / "run/problems/train.json").read_text())}
    for number, generations in ((1, {1}), (2, {1, 2})):
        rows = read_records(tmp_path / f"run/generation-0{number}/verifier.parquet", VerifierRow)
        assert {row.generation for row in rows} == generations
        assert all(row.question == questions[row.problem_id] for row in rows)
        counts = Counter((row.problem_id, row.right) for row in rows)
        assert all(counts[problem, True] == counts[problem, False] <= 2 for problem, _ in counts)


def test_without_a_trainer_pairs_are_only_kept(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model, preference_pairs=PreferencePairs()), tmp_path / "run", InlineCluster)
    improve(toy_workflow(model), tmp_path / "plain", InlineCluster)
    kept, plain = (RunFolder(tmp_path / name).reports() for name in ("run", "plain"))
    assert [report.candidate.weights_hash for report in kept] == [report.candidate.weights_hash for report in plain]
    assert (tmp_path / "run/generation-02/pairs.parquet").exists() and not (tmp_path / "plain/generation-02/pairs.parquet").exists()


def test_where_there_is_no_pair_the_supervised_candidate_is_examined(model: Path, tmp_path: Path) -> None:
    improve(contrasting(model, sampler=ToySampler(help=0.9), generations=1), tmp_path / "run", InlineCluster)
    report = RunFolder(tmp_path / "run").reports()[1]
    assert Path(report.candidate.path) == tmp_path / "run/generation-01/checkpoint" and report.counts.pairs is None


def test_rounds_of_three_kinds_make_one_campaign(model: Path, tmp_path: Path) -> None:
    told = Steps()
    champion = improve(mixed(model), tmp_path / "run", InlineCluster, told)
    run = RunFolder(tmp_path / "run")
    base, cold, practised, last = run.reports()
    assert [report.candidate.parent_id for report in (cold, practised, last)] == ["base", "generation-1", "base"]
    assert last.start.id == practised.kept.id == "generation-2"
    assert practised.score.pass_at_1 > base.score.pass_at_1 and champion.id in {"generation-2", "generation-3"}

    solves = Counter((item.trace.problem_id, item.verdict.outcome == "correct") for item in stored(run.generation(2)))
    within_reach = {problem for problem, right in solves if 0 < solves[problem, True] < 4}
    assert set(read_json(run.generation(2) / "prompts.json", list[str])) == within_reach
    assert practised.counts.trained_on == len(within_reach)
    assert practised.counts.rollouts == 2 * 2 * len(within_reach) == 2 * practised.counts.rollouts_right
    assert [step.figures["reward"] for step in told.steps[2]] == [0.5, 0.5]
    assert read_records(run.generation(2) / "rows.parquet", AcceptedTrace) == []
    assert {row.generation for row in read_records(run.generation(3) / "rows.parquet", AcceptedTrace)} == {3}
    assert summarize(run)["complete"] and summarize(run)["baselines"]["answer_only"] is not None


class Breaks(Exception):
    """What stops a run in these tests."""


@pytest.mark.parametrize("kind", [contrasting, mixed])
@pytest.mark.parametrize("at", range(1, 5))
@pytest.mark.slow
def test_a_run_that_broke_in_any_training_ends_as_an_undisturbed_one(
    kind, at: int, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    improve(kind(model), tmp_path / "whole", InlineCluster)
    trainings = 0

    def breaking(train):  # type: ignore[no-untyped-def]
        def broken(self, *arguments):  # type: ignore[no-untyped-def]
            nonlocal trainings
            trainings += 1
            steps = train(self, *arguments)
            if trainings == at:
                next(steps)
                raise Breaks
            yield from steps

        return broken

    with monkeypatch.context() as patch:
        for part in (ToyTrainer, ToyPreference, ToyPractice):
            patch.setattr(part, "train", breaking(part.train))
        with pytest.raises(Breaks):
            improve(kind(model), tmp_path / "broken", InlineCluster)
    improve(kind(model), tmp_path / "broken", InlineCluster)
    whole, broken = ({str(p.relative_to(tmp_path / name)): p for p in (tmp_path / name).rglob("*") if p.is_file()} for name in ("whole", "broken"))
    assert whole.keys() == broken.keys()
    timed = {"report.json", "report.html", "seconds.json"}
    assert {Path(name).name for name in whole if content(whole[name], timed) != content(broken[name], timed)} <= timed


def content(file: Path, timed: set[str]) -> bytes:
    return sums_without(timed, file) if file.name == "SHA256SUMS" else file.read_bytes()


def test_other_settings_of_practice_are_refused_in_the_same_run(model: Path, tmp_path: Path) -> None:
    workflow = mixed(model, generations=2)
    improve(workflow, tmp_path / "run", InlineCluster)
    changed = replace(workflow, rounds=(*workflow.rounds[:1], replace(workflow.rounds[1], reinforcement=ToyPractice(gain=0.5))))
    with pytest.raises(UserError, match="rounds"):
        improve(changed, tmp_path / "run", InlineCluster)


def test_practice_needs_problems_that_are_sometimes_solved(model: Path, tmp_path: Path) -> None:
    workflow = toy_workflow(model, reinforcement=ToyPractice(), problems=Sums(size=20), sampler=ToySampler(help=1.0))
    with pytest.raises(UserError, match=r"generation 1: no problem was solved by some of its samples and not by others"):
        improve(workflow, tmp_path / "run", InlineCluster)


def test_practice_alone_is_a_campaign_too(model: Path, tmp_path: Path) -> None:
    """As DeepSeek-R1-Zero: reinforcement from the base model on, no rows; what is compared with it is the base model itself."""
    improve(toy_workflow(model, reinforcement=ToyPractice(), start_from="champion"), tmp_path / "run", InlineCluster)
    summary = summarize(RunFolder(tmp_path / "run"))
    assert summary["complete"] and summary["baselines"]["answer_only"] == summary["generations"][0]["pass_at_1"]


def test_a_generation_follows_its_round_and_after_the_last_the_workflow(model: Path) -> None:
    workflow = toy_workflow(model, rounds=(Round(problems_per_generation=5), Round(start_from="champion", mixture=Replay(limit=3))))
    first, second, third = (workflow.of_generation(number) for number in (1, 2, 3))
    assert (first.problems_per_generation, first.start_from) == (5, "base")
    assert (second.problems_per_generation, second.start_from, second.mixture) == (None, "champion", Replay(limit=3))
    assert third == workflow and first.sampler is workflow.sampler
