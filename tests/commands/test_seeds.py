"""`selfimprove run --seeds`, and `report` of several runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
from command import run_command
from toy import Sums, make_toy_model, toy_workflow

from selfimprove import InlineCluster, improve
from selfimprove.commands.run_seeds import place_of
from selfimprove.reports.seeds import summarize_seeds
from selfimprove.storage.run_folder import RunFolder

WORKFLOW = """
from dataclasses import dataclass
from pathlib import Path
from selfimprove.errors import UserError, WorkerFailed
from toy import Sums, ToySampler, toy_workflow

HERE = Path({here!r})

@dataclass(frozen=True)
class Failing(ToySampler):
    def open(self):
        if (HERE / "never").exists():
            raise UserError("no engine here")
        return self

    def sample(self, checkpoint, requests):
        # The first generation of seed 2.
        if "-seed2/generation-01" in checkpoint.path:
            if (HERE / "interrupt").exists():
                raise KeyboardInterrupt
            if (HERE / "fail").exists():
                raise WorkerFailed("the sampler died")
        return super().sample(checkpoint, requests)

workflow = toy_workflow({model!r}, sampler=Failing(), generations=1, eval_problems=Sums(20, 100), first_prompter=None, name="short")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "short.py").write_text(WORKFLOW.format(here=str(tmp_path), model=str(make_toy_model(tmp_path / "model", 0.3))))
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMAND = ("run", "short.py", "--inline", "--tracker", "none")


def contents(run: Path) -> dict[str, bytes]:
    """Every file that must not depend on how often a run was stopped."""
    files = (*run.glob("generation-*/**/*.parquet"), *run.glob("**/score.json"))
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def test_a_seed_that_fails_leaves_the_others_and_the_same_command_continues(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "fail").touch()
    out, err = run_command(capfd, 2, *COMMAND, "--seeds", "1,2,5")
    assert "seed 2 of 3 (seed=2): the sampler died" in err
    assert "short, 2 seeds: pass@1 on the evaluation, 20 problems" in out
    assert "seed 2 is left out (the sampler died)" in out and "may be too good" in out
    assert "seed 1 of 3: seed=1; the 3 seeds together take about 3 times as long as this one" in out
    assert "seed 3 of 3: seed=5; about " in out and " to the end of all seeds" in out
    known = {name: contents(here / "runs" / f"short-seed{name}") for name in ("1", "5")}

    (here / "fail").unlink()
    (here / "interrupt").touch()
    out, err = run_command(capfd, 130, *COMMAND, "--seeds", "1-2,5")
    assert "seed 1 of 3: complete, in " in out and "seed 3" not in out and err.count("the same command continues") == 1

    (here / "interrupt").unlink()
    out, err = run_command(capfd, 0, *COMMAND, "--seeds", "1,2,5", "--json")
    found = json.loads(out)
    assert [run["seed"] for run in found["runs"]] == [1, 2, 5] and not found["left_out"]
    assert "seed 2 of 3: continuing short" in err and "seed 3 of 3: complete" in err
    assert {name: contents(here / "runs" / f"short-seed{name}") for name in ("1", "5")} == known
    groups = {(here / "runs" / f"short-seed{seed}" / "seeds.json").read_text() for seed in (1, 2, 5)}
    assert len(groups) == 1 and "short-seeds-" in groups.pop()
    # As a single run with this seed makes it.
    run_command(capfd, 0, *COMMAND, "--set", "seed=2", "--run-dir", "alone")
    assert contents(here / "alone") == contents(here / "runs" / "short-seed2")

    assert json.loads(run_command(capfd, 0, *COMMAND, "--seeds", "1,2,5", "--json")[0]) == found
    # A run that was begun again and stopped before its page, which is written last, is not skipped.
    (here / "runs" / "short-seed1" / "workflow.json").touch()
    out, _ = run_command(capfd, 0, *COMMAND, "--seeds", "1,2,5")
    assert "seed 1 of 3: continuing short" in out and "seed 2 of 3: complete" in out
    places = [here / "runs" / f"short-seed{seed}" for seed in (5, 1, 2)]
    assert json.loads(run_command(capfd, 0, "report", *places, "--json")[0])["gains"] == found["gains"]
    run_command(capfd, 0, "report", *places, "--html", here / "seeds.html")
    page = (here / "seeds.html").read_text()
    assert "seed 5" in page and "short, mean" in page and "<script" not in page and f"{found['gains']['base']['mean']:+.3f}" in page
    assert "name its file" in run_command(capfd, 2, "report", *places, "--html")[1]


def test_what_no_seed_can_do_ends_at_the_first_and_other_workflows_are_refused_before_anything_is_done(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "never").touch()
    out, err = run_command(capfd, 2, *COMMAND, "--seeds", "1,2", "--run-dir", "all")
    assert err == "selfimprove: no engine here\n" and "seed 2 of 2" not in out
    (here / "other-seed2").mkdir()
    (here / "other-seed2" / "notes").touch()
    _, err = run_command(capfd, 2, *COMMAND, "--seeds", "1,2", "--run-dir", "other")
    assert "other-seed2 is not empty and holds no run" in err and not (here / "other-seed1").exists()


@pytest.mark.parametrize("text", ["a", "", "1,1", "0,0", "01,1", "1,,2", "3-1", "-1", "1.5", "1-1000000000000", "1-60,61-120", "9" * 30, "١"])
def test_nonsense_is_refused_in_one_line(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    err = run_command(capfd, 2, "run", "absent.py", f"--seeds={text}")[1]
    assert err.startswith("selfimprove run: argument --seeds: ") and err.count("\n") == 1


def test_seeds_go_with_no_other_seed(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "leave out --set seed" in run_command(capfd, 2, *COMMAND, "--seeds", "1,2", "--set", "seed=3")[1]


def test_each_seed_has_a_place_beside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of("s3://bucket/first/", 3) == "s3://bucket/first-seed3"
    assert place_of("runs/first/", 3) == tmp_path / "runs" / "first-seed3"
    assert place_of(".", 3) == tmp_path.with_name(f"{tmp_path.name}-seed3")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two seeds with a final test on the same problems, and two whose evaluation the seed draws; one run with another setting."""
    folder = tmp_path_factory.mktemp("runs")
    tested = toy_workflow(make_toy_model(folder / "model", 0.3), generations=1, eval_problems=Sums(20, 100), test_problems=Sums(30, 400))
    drawn = replace(tested, eval_problems=10, test_problems=None)
    made = {"tested": tested, "drawn": drawn}
    for name, workflow in made.items():
        for seed in (1, 2):
            improve(replace(workflow, seed=seed), folder / f"{name}{seed}", InlineCluster)
    return SimpleNamespace(**{name: [RunFolder(folder / f"{name}{seed}") for seed in (1, 2)] for name in made})


def test_the_final_test_is_reported_and_gains_are_paired_within_a_seed(runs: SimpleNamespace) -> None:
    found = summarize_seeds(runs.tested)
    assert (found["measure"], found["problems"], found["same_problems"]) == ("final test", 30, True)
    assert list(found["scores"]) == ["base", "champion", "few_shot", "answer_only"] and list(found["gains"]) == ["base", "few_shot", "answer_only"]
    tests = [run.final_test() or {} for run in runs.tested]
    gains = [test["champion"].pass_at_1 - test["answer_only"].pass_at_1 for test in tests]
    row = found["gains"]["answer_only"]
    assert row["mean"] == pytest.approx(numpy.mean(gains)) and (row["smallest"], row["largest"]) == pytest.approx((min(gains), max(gains)))
    assert row["low"] < row["mean"] < row["high"]
    assert summarize_seeds(runs.tested[::-1])["scores"] == found["scores"]


def test_problems_that_the_seed_draws_are_told(runs: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    found = summarize_seeds(runs.drawn)
    assert (found["measure"], found["problems"], found["same_problems"]) == ("evaluation", 20, False)
    out = run_command(capfd, 0, "report", *(run.root for run in runs.drawn))[0]
    assert "Each seed has other problems" in out and "eval_problems=SOURCE" in out and "only a final test" in out


def test_runs_that_are_not_seeds_of_one_another_are_refused(runs: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    _, err = run_command(capfd, 2, "report", runs.tested[0].root, runs.drawn[1].root)
    assert "differ in more than the seed: eval_problems" in err and "compare" in err and err.count("\n") == 1
    assert "have the same seed, 1" in run_command(capfd, 2, "report", runs.tested[0].root, runs.tested[0].root)[1]


def test_a_run_without_its_final_test_is_not_complete(runs: SimpleNamespace) -> None:
    file = runs.tested[0].test / "test.json"
    file.rename(away := file.with_name("away"))
    try:
        found = summarize_seeds(runs.tested)
    finally:
        away.rename(file)
    assert [one["seed"] for one in found["left_out"]] == [1] and [one["seed"] for one in found["runs"]] == [2]
