"""Champions of several runs, compared."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from command import run_command
from toy import Sums, make_toy_model, toy_workflow

from selfimprove import InlineCluster, Sampling, improve
from selfimprove.evaluation.paired import contrast
from selfimprove.storage.run_folder import RunFolder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that differ in the base model's skill, a seed, the evaluation, the problems; and one of a single generation."""
    folder = tmp_path_factory.mktemp("runs")
    weak, strong = (make_toy_model(folder / "models" / name, skill) for name, skill in (("weak", 0.1), ("strong", 0.9)))
    short = toy_workflow(weak, answer_only_baseline=False, generations=1, eval_problems=Sums(30, 100))
    made = {
        "weak": short,
        "strong": replace(short, base_model=str(strong)),
        "<i>evil": replace(short, seed=5),
        "several": replace(short, eval_sampling=Sampling(n=4, temperature=1.0)),
        "others": replace(short, eval_problems=Sums(30, 101)),
    }
    for name, workflow in made.items():
        improve(workflow, folder / name, InlineCluster)
    return {name: folder / name for name in made}


def compared(capfd: pytest.CaptureFixture[str], *names: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(run_command(capfd, 0, "compare", *names, "--json")[0])
    return found


def test_gained_and_lost_problems_are_those_whose_verdicts_differ(runs: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    found = compared(capfd, runs["weak"], runs["strong"])
    first, second = (RunFolder(runs[name]).reports()[-1].kept_score.solved for name in ("weak", "strong"))
    (one,) = found["contrasts"]  # type: ignore[misc]
    assert set(one["gained"]) == {name for name in first if second[name][0] > first[name][0]} != set()
    assert set(one["lost"]) == {name for name in first if second[name][0] < first[name][0]}
    assert one["difference"] == pytest.approx((len(one["gained"]) - len(one["lost"])) / 30)
    assert one["low"] <= one["difference"] <= one["high"] and one["p"] == one["p_holm"]
    weak, strong = found["runs"]  # type: ignore[misc]
    assert weak["base"] < strong["base"]
    assert set(found["settings"]) == {"base_model"} and found["measured_differently"] == []  # type: ignore[arg-type]


def test_the_other_direction_mirrors_it(runs: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    for names in (("weak", "strong"), ("weak", "several")):
        there, back = (compared(capfd, *(runs[name] for name in way))["contrasts"][0] for way in (names, names[::-1]))  # type: ignore[index]
        assert (there["gained"], there["lost"], there["difference"]) == (back["lost"], back["gained"], -back["difference"])
        assert there["p"] == pytest.approx(back["p"], abs=0.02) and 0 < there["p"] <= 1


def test_several_samples_are_bootstrapped_and_the_evaluations_difference_is_told(runs: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    out, _ = run_command(capfd, 0, "compare", runs["weak"], runs["several"])
    assert "paired bootstrap" in out and "The evaluations differ in eval_sampling.n, eval_sampling.temperature" in out


def test_with_several_contrasts_p_is_corrected(runs: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    found = compared(capfd, runs["weak"], runs["strong"], runs["<i>evil"])
    values = sorted((one["p"], one["p_holm"]) for one in found["contrasts"])  # type: ignore[attr-defined]
    assert values[0][1] == pytest.approx(min(1, 2 * values[0][0])) and values[1][1] == pytest.approx(max(values[1][0], values[0][1]))
    assert "p (Holm)" in run_command(capfd, 0, "compare", runs["weak"], runs["strong"], runs["<i>evil"])[0]


def test_other_problems_are_refused_by_name(runs: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    _, err = run_command(capfd, 2, "compare", runs["weak"], runs["others"])
    assert "30 and 30 problems, 1 of them only in the first, such as sum-100" in err and err.count("\n") == 1
    file = runs["several"].parent / "changed"
    assert run_command(capfd, 2, "compare", runs["weak"])[1].startswith("selfimprove: compare needs at least two runs")
    assert "holds no run" in run_command(capfd, 2, "compare", runs["weak"], file)[1]


def test_the_page_escapes_what_names_hold(runs: dict[str, Path], capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run_command(capfd, 0, "compare", runs["weak"], runs["<i>evil"], "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<i>" not in page and "&lt;i&gt;evil" in page and "<script" not in page
    assert re.search(r"<td>seed</td><td>0</td><td>5</td>", page)


def test_a_score_is_not_contrasted_with_one_of_other_problems(runs: dict[str, Path]) -> None:
    first, second = (RunFolder(runs[name]).reports()[-1].kept_score for name in ("weak", "others"))
    with pytest.raises(ValueError, match="different problems"):
        contrast(first, second)


def test_runs_with_a_final_test_are_compared_on_it(runs: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    weak, strong = (runs["weak"].parent / "models" / name for name in ("weak", "strong"))
    for model in (weak, strong):
        workflow = toy_workflow(model, answer_only_baseline=False, generations=1, eval_problems=Sums(30, 100), test_problems=Sums(20, 400))
        improve(workflow, tmp_path / model.name, InlineCluster)
    found = compared(capfd, tmp_path / "weak", tmp_path / "strong")
    assert (found["measure"], found["problems"]) == ("final test", 20)
    (one,) = found["contrasts"]  # type: ignore[misc]
    assert all(int(name.split("-")[1]) >= 400 for name in [*one["gained"], *one["lost"]]) and one["gained"]
    # With a run that has no test, the evaluation compares.
    assert compared(capfd, tmp_path / "weak", runs["strong"])["measure"] == "evaluation"
