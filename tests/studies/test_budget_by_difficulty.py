"""Budgets by difficulty compared with one budget for all, from the workflow file to MLflow, with toy parts in this process."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from obedient import OWN, ObedientSampler, give_letters, needed
from places import WORKFLOWS
from toy import make_toy_model
from toy_embedder import ToyEmbedder

from selfimprove import Budget, BudgetByDifficulty, InlineCluster, UserError
from selfimprove.__main__ import main
from selfimprove.storage.files import read_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.studies.budget_by_difficulty import ThinkingByDifficulty

FILE = WORKFLOWS / "thinking_by_difficulty.py"
WORKFLOW = """
from pathlib import Path
from obedient import ObedientSampler
from toy import Sums, toy_workflow
from toy_embedder import ToyEmbedder
from selfimprove import Sampling, DifficultyModel
workflow = toy_workflow(Path({model!r}), problems=Sums({size}), eval_problems=40, sampler=ObedientSampler(), generations=1,
    answer_only_baseline=False, sampling=Sampling(n=4, max_tokens=64), difficulty=DifficultyModel(embedder=ToyEmbedder()))
"""
REST = Budget(answer_tokens=8)
LIMITS = range(0, OWN + 1)
RULES = {
    "longer": [BudgetByDifficulty(easy=0, hard=OWN, mean=mean, otherwise=REST) for mean in (3, 6)],
    "shorter": [BudgetByDifficulty(easy=OWN, hard=0, mean=mean, otherwise=REST) for mean in (3, 6)],
}


@pytest.fixture
def workflow_file(tracked_if_slow: None) -> ModuleType:
    spec = importlib.util.spec_from_file_location("thinking_by_difficulty_file", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_run(folder: Path, size: int) -> Path:
    file = folder / "toys.py"
    file.write_text(WORKFLOW.format(model=str(make_toy_model(folder / "model", 0.2)), size=size))
    assert main(["run", str(file), "--inline", "--run-dir", str(folder / "run")]) == 0
    give_letters(folder / "run" / "champion")
    return folder / "run"


@pytest.fixture
def run(tmp_path: Path, tracked_if_slow: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of one generation whose champion has a tokenizer."""
    place = make_run(tmp_path, 240)
    monkeypatch.setattr(ObedientSampler, "calls", [])
    monkeypatch.setattr(ObedientSampler, "patience", [])
    monkeypatch.setattr(ToyEmbedder, "calls", [])
    return place


def measure(module: ModuleType, run: Path, **changes: object) -> ThinkingByDifficulty:
    result = module.main(run, **{"limits": LIMITS, "rules": RULES, "start_cluster": lambda logs, ship: InlineCluster(), **changes})
    assert isinstance(result, ThinkingByDifficulty)
    return result


def test_a_rule_is_scored_by_the_attempts_under_its_limits(run: Path, workflow_file: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    result = measure(workflow_file, run)
    rates = read_json(run / "thinking-by-difficulty/difficulty/predicted.json", dict[str, float])
    problems = {problem.id: int(problem.id.removeprefix("sum-")) for problem in RunFolder(run).problems("eval")}
    assert rates.keys() == problems.keys()
    for kind, several in RULES.items():
        for rule, found in zip(several, result.differences[kind], strict=True):
            limits = rule.limits(rates)
            accuracy = sum(needed(number) <= limits[name] for name, number in problems.items()) / 40
            assert (found.accuracy, found.thinking_tokens) == (pytest.approx(accuracy), pytest.approx(rule.mean))
            assert found.one_for_all == pytest.approx(sum(needed(number) <= rule.mean for number in problems.values()) / 40)
            assert found.difference == pytest.approx(found.accuracy - found.one_for_all) and found.low <= found.difference <= found.high
    shown = capfd.readouterr().out
    assert "one budget for all: generation-1, 40 problems" in shown and "9–0 (3)" in shown and "evaluation problems: Brier" in shown


@pytest.mark.slow
def test_less_thinking_on_hopeless_problems_gains_here_and_a_random_assignment_gains_nothing(run: Path, workflow_file: ModuleType) -> None:
    result = measure(workflow_file, run)
    assert result.out_of_fold.auroc is not None and result.out_of_fold.auroc > 0.7
    assert result.evaluation.auroc is not None and result.evaluation.auroc > 0.9, "half of the sums need more thinking than the evaluation allows"
    shorter, lot, longer = (result.differences[kind][1] for kind in ("shorter", "shorter, by lot", "longer"))
    assert shorter.low > 0 and longer.high < 0 and abs(lot.difference) < shorter.difference
    assert lot.thinking_tokens == pytest.approx(6)
    assert {one.method for one in result.curves} == {"one budget for all", "longer", "longer, by lot", "shorter", "shorter, by lot"}


@pytest.mark.slow
def test_a_problem_is_asked_once_under_each_limit_and_an_interrupted_study_continues(run: Path, workflow_file: ModuleType) -> None:
    ObedientSampler.patience.append(300)
    with pytest.raises(KeyboardInterrupt):
        measure(workflow_file, run)
    assert (run / "thinking-by-difficulty/difficulty/model.safetensors").exists()
    ObedientSampler.patience.clear()
    ObedientSampler.calls.clear()
    result = measure(workflow_file, run)
    assert sum(map(len, ObedientSampler.calls)) == 40 * len(LIMITS) - 299
    assert len(ToyEmbedder.calls) == 1
    ObedientSampler.calls.clear()
    assert measure(workflow_file, run) == result and not ObedientSampler.calls
    assert json.loads((run / "thinking-by-difficulty/result.json").read_text())["differences"]["shorter"][1]["accuracy"]
    with pytest.raises(UserError, match="thinking-by-difficulty was made with different requests"):
        measure(workflow_file, run, limits=range(0, OWN + 2))


@pytest.mark.slow
def test_mlflow_shows_the_comparison_on_the_run(run: Path, workflow_file: ModuleType) -> None:
    from mlflow import MlflowClient

    ids = json.loads((run / "mlflow.json").read_text())
    client = MlflowClient(ids["uri"])
    result = measure(workflow_file, run)
    history = client.get_metric_history(ids["run_id"], "thinking_by_difficulty/shorter_difference")
    assert [(point.step, point.value) for point in history] == [(round(one.thinking_tokens), one.difference) for one in result.differences["shorter"]]
    assert client.get_run(ids["run_id"]).data.metrics["thinking_by_difficulty/brier"] == result.evaluation.brier
    files = {Path(file.path).name for file in client.list_artifacts(ids["run_id"], "thinking_by_difficulty")}
    assert files == {"result.json", "result.png", "reliability.png"}


def test_rules_of_different_other_limits_and_runs_too_small_to_predict_from_are_refused(
    run: Path, workflow_file: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mixed = {"one": [RULES["longer"][0], BudgetByDifficulty(easy=0, hard=OWN, mean=3)]}
    with pytest.raises(UserError, match="same `otherwise`"):
        measure(workflow_file, run, rules=mixed)
    with pytest.raises(UserError, match="fewer than 20 problems"):
        measure(workflow_file, make_run(tmp_path_factory.mktemp("small"), 50))


def test_a_folder_without_a_run_is_refused_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(FILE), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("thinking_by_difficulty: ") and done.stderr.count("\n") == 1
