"""Where a generation's problems come from: levels, and sources of single generations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from toy import Sums, ToySampler, ToyTrainer, make_toy_model, skill_of, toy_workflow

from selfimprove import AlwaysPromote, InlineCluster, Round, UserError, Workflow, improve
from selfimprove.commands.level_findings import level_findings
from selfimprove.problems.curriculum import Curriculum
from selfimprove.problems.sets import load_sets
from selfimprove.records import AcceptedTrace, Checkpoint, LedgerEntry, Problem, Request, TrainingStep
from selfimprove.reports.html_report import write_html
from selfimprove.reports.table import summarize
from selfimprove.settings.paths import describe, override
from selfimprove.stages.context import open_run_context
from selfimprove.stages.expected_time import time_left
from selfimprove.storage.files import read_records
from selfimprove.storage.fork import fork
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored
from selfimprove.tracking.figures import of_report

LEVELS = Curriculum(levels=(Sums(24), Sums(24, 100), Sums(24, 1000)), advance_at=0.6)


@dataclass(frozen=True)
class Grows(ToySampler):
    """Has twice its skill on small numbers, and half of it on large ones."""

    def _skill(self, checkpoint: Checkpoint, request: Request) -> float:
        asked = int(re.findall(r"\d+", request.messages[-1]["content"])[0])
        return skill_of(checkpoint.path) * (2 if asked < 100 else 1 if asked < 1000 else 0.5)


@dataclass(frozen=True)
class Given:
    """These problems."""

    problems: tuple[Problem, ...]

    def load(self) -> list[Problem]:
        return list(self.problems)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_model(tmp_path_factory.mktemp("base"), 0.25)


def growing(model: Path, **changes: object) -> Workflow:
    workflow = toy_workflow(
        model, problems=LEVELS, eval_problems=8, first_prompter=None, sampler=Grows(), trainer=ToyTrainer(0.01), gate=AlwaysPromote(), generations=4
    )
    return replace(workflow, answer_only_baseline=False, **changes)


@pytest.fixture(scope="module")
def run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    root = tmp_path_factory.mktemp("levels")
    improve(growing(model), root, InlineCluster)
    return RunFolder(root)


def sampled(run: RunFolder, number: int) -> set[str]:
    """Where the problems of a generation come from, by their ids."""
    return {item.trace.problem_id.rpartition("/")[0] for item in stored(run.generation(number))}


def test_a_generation_samples_the_first_level_that_no_champion_has_passed(run: RunFolder) -> None:
    reports, now, reached = run.reports(), 1, []
    for report in reports[1:]:
        while now < 3 and reports[report.generation - 1].levels[now].pass_at_1 >= 0.6:
            now += 1
        reached.append(now)
        assert report.level == now
        assert sampled(run, report.generation) == {f"level-{now}"}
    assert len(set(reached)) > 1, reached
    assert [{level: one.problems for level, one in report.levels.items()} for report in reports] == [{1: 8, 2: 8, 3: 8}] * 5
    # Each evaluation problem counts once, and on its own level.
    assert all(report.score.pass_at_1 == pytest.approx(sum(one.pass_at_1 for one in report.levels.values()) / 3) for report in reports)
    assert not {problem.question for problem in run.problems("train")} & {problem.question for problem in run.problems("eval")}
    ledger = read_records(run.generation(4) / "ledger.parquet", LedgerEntry)
    assert {row.problem_id.partition("/")[0] for row in ledger if row.set == "eval"} == {"level-1", "level-2", "level-3"}


def test_every_report_shows_the_levels(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    from selfimprove.reports.table import show

    summary, report = summarize(run), run.reports()[-1]
    last = summary["generations"][-1]
    assert last["level"] == report.level and last["levels"]["2"]["pass_at_1"] == report.levels[2].pass_at_1
    show(summary, Console(width=80))
    printed = capsys.readouterr().out
    assert "pass@1 by level" in printed and f"level {report.level}: the candidate solves" in printed
    figures = of_report(report)
    assert figures["levels/learnt_from"] == report.level and figures["levels/1_low"] <= figures["levels/1"] <= figures["levels/1_high"]
    assert '"level":' in Path(write_html(run)["file"]).read_text()


def test_a_run_without_levels_has_none(model: Path, tmp_path: Path) -> None:
    improve(toy_workflow(model, generations=1), tmp_path, InlineCluster)
    report = RunFolder(tmp_path).reports()[-1]
    assert report.level is None and report.levels == {}
    assert not any(name.startswith("levels/") for name in of_report(report))
    assert not list(tmp_path.glob("problems/generation-*"))


def test_a_stopped_run_goes_on_at_the_same_level(run: RunFolder, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn = ToyTrainer.train

    def stopping(self: ToyTrainer, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        if max(row.generation for row in rows) == 3:
            raise KeyboardInterrupt
        return learn(self, start, rows, into, seed)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ToyTrainer, "train", stopping)
        improve(growing(model), tmp_path, InlineCluster)
    assert (tmp_path / "generation-03" / "accepted.parquet").exists() and not (tmp_path / "generation-03" / "report.json").exists()
    improve(growing(model), tmp_path, InlineCluster)
    for number in range(1, 5):
        for name in ("accepted.parquet", "rows.parquet", "ledger.parquet"):
            assert (tmp_path / f"generation-{number:02d}" / name).read_bytes() == (run.generation(number) / name).read_bytes()
    assert [report.level for report in RunFolder(tmp_path).reports()] == [report.level for report in run.reports()]


def test_a_fork_may_pass_levels_at_another_rate_but_not_have_others(run: RunFolder, model: Path, tmp_path: Path) -> None:
    slow = override(growing(model), "problems.advance_at=1.0")
    fork(run, RunFolder(tmp_path / "slow"), 2, describe(slow))
    improve(slow, tmp_path / "slow", InlineCluster)
    forked = RunFolder(tmp_path / "slow").reports()
    assert forked[1].level == run.reports()[1].level
    assert forked[-1].level < run.reports()[-1].level
    with pytest.raises(UserError, match=r"depend on problems\.levels\.2\.size: 24 → 25"):
        fork(run, RunFolder(tmp_path / "other"), 2, describe(override(growing(model), "problems.levels.2.size=25")))


def test_levels_can_follow_each_other_without_an_evaluation(model: Path, tmp_path: Path) -> None:
    improve(override(growing(model, overlap=1), "problems.advance_at=null"), tmp_path, InlineCluster)
    assert [report.level for report in RunFolder(tmp_path).reports()] == [None, 1, 2, 3, 3]


def test_levels_that_no_evaluation_decides_need_none_of_their_own(model: Path) -> None:
    sets = load_sets(**override(growing(model, eval_problems=Sums(5, 5000)), "problems.advance_at=null").sets)
    assert [problem.level for problem in sets.evaluation] == [None] * 5 and {problem.level for problem in sets.training} == {1, 2, 3}
    more = replace(growing(model), eval_problems=Curriculum(levels=(Sums(2, 5000), Sums(2, 6000), Sums(2, 7000), Sums(2, 8000))))
    with pytest.raises(UserError, match="eval_problems has level 4, but problems has only 3 levels"):
        load_sets(**more.sets)


@pytest.mark.parametrize(
    ("champions", "level"), [([{1: 0.7, 2: 0.7, 3: 0.7}], 3), ([{1: 0.5, 2: 0.9, 3: 0.9}], 1), ([{1: 0.6, 2: 0, 3: 0}, {1: 0, 2: 0, 3: 0}], 2)]
)
def test_a_passed_level_stays_passed(champions: list[dict[int, float]], level: int) -> None:
    assert LEVELS.level_at(len(champions), champions) == level


def test_the_champion_before_the_last_decides_where_sampling_does_not_wait(model: Path, tmp_path: Path) -> None:
    improve(growing(model, overlap=1), tmp_path, InlineCluster)
    reports = RunFolder(tmp_path).reports()
    rates = [{level: one.pass_at_1 for level, one in report.levels.items()} for report in reports]
    assert [report.level for report in reports[1:]] == [LEVELS.level_at(number, rates[: max(1, number - 1)]) for number in range(1, 5)]


def test_a_round_learns_from_problems_of_its_own(model: Path, tmp_path: Path) -> None:
    # The second round shares the first twenty questions with the workflow's, of which some are evaluation problems.
    rounds = (Round(), Round(problems=Sums(60, 20)), Round(problems=Sums(20, 500)))
    workflow = toy_workflow(model, generations=4, rounds=rounds, gate=AlwaysPromote())
    improve(workflow, tmp_path, InlineCluster)
    run = RunFolder(tmp_path)
    of_eval = {problem.question for problem in run.problems("eval")}
    own = run.own_problems()
    assert set(own) == {2, 3} and len(own[3]) == 20
    shared = [problem for problem in run.problems("train") if int(re.findall(r"\d+", problem.question)[0]) >= 20]
    assert [problem.id for problem in own[2] if not problem.id.startswith("round-2/")] == [problem.id for problem in shared]
    assert {problem.question for problem in own[2]} == {problem.question for problem in Sums(60, 20).load()} - of_eval
    assert [sampled(run, number) for number in (1, 2, 3, 4)] == [{""}, {"", "round-2"}, {"round-3"}, {""}]
    # Rows of all generations are trained on, and every report knows the problems.
    assert {row.generation for row in read_records(run.generation(4) / "rows.parquet", AcceptedTrace)} == {1, 2, 3, 4}
    assert write_html(run)["traces"] > 0
    with pytest.raises(UserError, match=r"depend on rounds\.2\.problems"):
        fork(run, RunFolder(tmp_path / "fork"), 3, describe(replace(workflow, rounds=(Round(), Round(problems=Sums(9, 90))))))
    with open_run_context(workflow, tmp_path, InlineCluster) as context:
        assert time_left(context) is None and set(context.known) >= {problem.id for problem in own[3]}


def test_check_tells_what_it_takes_to_pass_a_level(model: Path) -> None:
    (told,) = level_findings(workflow := growing(model), load_sets(**workflow.sets))
    assert "2: 16 for training, 8 for evaluation" in told.detail and "5 of 8 evaluation problems" in told.detail
    (told,) = level_findings(workflow := override(growing(model, generations=2), "problems.advance_at=null"), load_sets(**workflow.sets))
    assert told.warning and "levels 1 to 2 alone" in told.detail
    plain = toy_workflow(model)
    assert not list(level_findings(plain, load_sets(**plain.sets)))


SAME, OTHER = (Problem(id_, question, "1", "toy") for id_, question in (("a", "What is  1?"), ("a", "What is 2?")))


def test_a_question_of_two_levels_belongs_to_the_first() -> None:
    found = Curriculum(levels=(Given((SAME,)), Given((replace(SAME, id="b", question="what is 1?"), OTHER)))).load()
    assert [(problem.id, problem.level) for problem in found] == [("level-1/a", 1), ("level-2/a", 2)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"eval_problems": Sums(5, 5000)}, "eval_problems has no problems of level 1, so that nothing tells when it is passed"),
        ({"eval_problems": 24}, "level 1: cannot set 24 of 24 distinct questions apart for eval_problems"),
        ({"problems": Curriculum(levels=(Sums(9), Sums(9)))}, "level 2 of problems is empty: earlier levels have all its questions"),
        ({"rounds": (Round(problems=Given((SAME, replace(SAME, id="b")))),)}, r"rounds.1.problems: problems a and b ask the same question"),
        ({"rounds": (Round(problems=Given((replace(SAME, answer=""),))),)}, r"rounds.1.problems: problem a has no reference answer"),
    ],
)
def test_unsuitable_sources_are_refused(model: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        load_sets(**replace(growing(model), **changes).sets)


def test_a_round_has_no_levels_and_a_level_none_of_its_own(model: Path) -> None:
    with pytest.raises(ValueError, match="its levels are for several generations"):
        growing(model, rounds=(Round(problems=LEVELS),))
    with pytest.raises(ValueError, match="a level has no levels of its own"):
        Curriculum(levels=(LEVELS,))
    with pytest.raises(ValueError, match=r"Sums is a class, not an object: write Sums\(\)"):
        Curriculum(levels=(Sums,))  # type: ignore[arg-type]
