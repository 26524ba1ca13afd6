"""`benchmarks/evidence.py` on runs of toy parts: every figure on the page is one of the runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from places import ROOT
from toy import Sums, make_toy_model, toy_workflow

from benchmarks import evidence
from benchmarks.evidence_texts import HEAD, TEXTS
from selfimprove import Guard, InlineCluster, LastNumber, RandomSelection, StopEarly, Workflow, improve
from selfimprove.evaluation.over_seeds import over_seeds
from selfimprove.evaluation.paired import contrast
from selfimprove.records import Problem
from selfimprove.storage.run_folder import RunFolder
from selfimprove.workflow.files import load_workflow


def accepts_anything_short(problem: Problem, answer: str) -> bool:
    return len(answer) < 5


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one experiment, and one in which a guard refuses what the verifier cannot see."""
    root = tmp_path_factory.mktemp("evidence")
    sums = toy_workflow(
        make_toy_model(root / "model", 0.3),
        generations=1,
        test_problems=Sums(40, 300),
        also=(LastNumber(),),
        controls=(RandomSelection(),),
        answer_only_baseline=False,
    )
    for seed in (2, 10):
        improve(replace(sums, seed=seed), root / "runs" / f"sums-seed{seed}", InlineCluster)
    improve(_collapsing(sums, root), root / "runs" / "collapse", InlineCluster)
    return root / "runs"


def _collapsing(workflow: Workflow, root: Path) -> Workflow:
    truth = Guard(problems=Sums(60, 500), verifier=workflow.verifier)
    able, forgets = make_toy_model(root / "able", 0.95), replace(workflow.trainer, gain=-0.9)
    return replace(
        workflow, base_model=str(able), name="collapse", trainer=forgets, verifier=accepts_anything_short, guards={"truth": truth},
        controls=(), first_prompter=None, stop=StopEarly(patience=1), generations=3,
    )  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_the_commands_of_the_page_run_a_workflow_of_that_name(name: str) -> None:
    command = TEXTS[name].commands.splitlines()[-1].split()
    file = ROOT / command[command.index("run") + 1]
    assert load_workflow(file)[0].name == name and command[-1] == f"runs/evidence/{name}"


def test_the_page_shows_means_and_paired_differences_over_seeds(runs: Path) -> None:
    page = evidence.page(runs, "a machine")
    tests = [RunFolder(runs / f"sums-seed{seed}").final_test() for seed in (2, 10)]
    assert all(tests)
    rates = [{name: right / samples for name, (right, samples) in test["champion"].solved.items()} for test in tests if test]
    mean = over_seeds(rates, shared=True)
    assert f"| champion | {mean.mean:.3f} ({mean.low:.2f}–{mean.high:.2f}; {mean.smallest:.3f} to {mean.largest:.3f}) |" in page
    first = contrast(tests[0]["random_selection"], tests[0]["champion"]) if tests[0] else None
    assert first and f"| +{len(first.gained)} −{len(first.lost)}, p = {first.p:.2g}; +" in page
    assert "40 test problems; seed 2, 10." in page and page.startswith(HEAD.format(machine="a machine"))


def test_the_page_shows_which_candidate_was_refused_by_what(runs: Path) -> None:
    page = evidence.page(runs, "a machine")
    report = RunFolder(runs / "collapse").reports()[1]
    loss = report.guards["truth"].loss
    assert loss and loss.refuses and f"{-loss.loss:+.3f} ({-loss.high:+.2f} to {-loss.low:+.2f}) | 0.05 | refused |" in page
    assert "**refused** | pass@1 1.000 = 1.000" in page and "refused: guard truth lost" in page
    assert "Seed 0 stopped early: no candidate was promoted in 1 generation" in page
    assert page.index(TEXTS["sums"].title) < page.index(TEXTS["collapse"].title)


def test_a_run_without_a_final_test_says_so(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "plain"
    improve(toy_workflow(make_toy_model(tmp_path / "model", 0.3), generations=1), folder, InlineCluster)
    page = evidence.page(folder.parent, "a machine")
    assert "On the evaluation, which also chose the champion: this run had no final test" in page and "| answer only | " in page
