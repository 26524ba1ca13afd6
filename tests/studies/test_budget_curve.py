"""The budget curve of a finished run, from the workflow file to the report and to MLflow, with toy parts in this process."""

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
from toy import accept_champion, make_toy_model

from selfimprove import Budget, InlineCluster, Sampling, UserError
from selfimprove.__main__ import main
from selfimprove.evaluation.budget_curve import BudgetCurve
from selfimprove.storage.run_folder import RunFolder

FILE = WORKFLOWS / "budget_curve.py"
WORKFLOW = """
from pathlib import Path
from obedient import ObedientSampler
from toy import toy_workflow
workflow = toy_workflow(Path({model!r}), sampler=ObedientSampler(), answer_only_baseline=False, generations=1)
"""
BUDGETS = {"none": Budget(max_tokens=0), "at most 4": Budget(max_tokens=4), "own length": None, "2 × Wait": Budget(extensions=2)}
REJECTION = Sampling(n=16, temperature=0.6, max_tokens=64)


@pytest.fixture
def workflow_file(tracked_if_slow: None) -> ModuleType:
    spec = importlib.util.spec_from_file_location("budget_curve", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: Path, tracked_if_slow: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of one generation whose champion has a tokenizer."""
    file = tmp_path / "toys.py"
    file.write_text(WORKFLOW.format(model=str(make_toy_model(tmp_path / "model", 0.2))))
    assert main(["run", str(file), "--inline", "--run-dir", str(tmp_path / "run")]) == 0
    give_letters(tmp_path / "run" / "champion")
    monkeypatch.setattr(ObedientSampler, "calls", [])
    monkeypatch.setattr(ObedientSampler, "patience", [])
    return tmp_path / "run"


def measure(module: ModuleType, run: Path, **changes: object) -> tuple[BudgetCurve, BudgetCurve]:
    settings = {"budgets": BUDGETS, "rejection": REJECTION, "start_cluster": lambda logs, ship: InlineCluster(), **changes}
    curves: tuple[BudgetCurve, BudgetCurve] = module.main(run, **settings)
    return curves


def test_accuracy_rises_with_the_budget_by_as_much_as_the_problems_ask_for(
    run: Path, workflow_file: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    forced, rejected = measure(workflow_file, run)
    numbers = [int(problem.id.removeprefix("sum-")) for problem in RunFolder(run).problems("eval")]
    lengths = {"none": 0, "at most 4": 4, "own length": OWN, "2 × Wait": OWN + 2 * len("Wait.")}
    assert {point.setting: point.thinking_tokens for point in forced.points} == lengths
    for point in forced.points:
        assert point.accuracy == pytest.approx(sum(needed(number) <= lengths[point.setting] for number in numbers) / len(numbers))
    assert forced.control == 1 and forced.scaling > 0 and forced.performance == forced.points[-1].accuracy

    none, four, own = rejected.points
    assert (none.accuracy, none.unanswered, none.thinking_tokens) == (0, 1, None)
    assert (four.most, own.most) == (4, None) and four.thinking_tokens <= 4 < own.thinking_tokens and four.accuracy < own.accuracy
    assert rejected.control == 1 and own.unanswered == 0

    assert len(ObedientSampler.calls[0]) == 256 and sum(map(len, ObedientSampler.calls)) == (4 + 16) * len(numbers)
    assert len({request.split("/")[1] for request in ObedientSampler.calls[0]}) == 5
    assert RunFolder(run).budget_curves() == [forced, rejected]
    assert (run / "budget-curve" / "curve.png").read_bytes().startswith(b"\x89PNG")
    shown = capfd.readouterr().out
    assert "budget forcing: generation-1, 15 problems" in shown and f"performance {forced.performance:.3f}" in shown


def test_budgets_that_the_limit_of_tokens_cuts_are_named(run: Path, workflow_file: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    measure(
        workflow_file, run, budgets={"own length": None, "2 × Wait": Budget(extensions=2)}, rejection=Sampling(temperature=0.6, n=2, max_tokens=30)
    )
    told = [line for line in capfd.readouterr().out.splitlines() if "ran into" in line]
    problems = len(RunFolder(run).problems("eval"))
    assert f"budget curve, 2 × Wait: {problems} of {problems} traces ran into max_tokens while thinking; raise max_tokens=30" in told[0]
    assert not any("own length" in line for line in told)


def test_an_interrupted_study_continues_where_it_stopped_with_the_same_result(run: Path, workflow_file: ModuleType) -> None:
    ObedientSampler.patience.append(290)
    with pytest.raises(KeyboardInterrupt):
        measure(workflow_file, run)
    assert not (run / "budget-curve" / "curve.json").exists()
    ObedientSampler.patience.clear()
    ObedientSampler.calls.clear()
    continued = measure(workflow_file, run)
    assert sum(map(len, ObedientSampler.calls)) == 20 * 15 - 289, "nothing that was verified is sampled again"

    ObedientSampler.calls.clear()
    assert measure(workflow_file, run) == continued and not ObedientSampler.calls
    for file in (run / "budget-curve").rglob("*.*"):
        file.unlink()
    assert measure(workflow_file, run) == continued and ObedientSampler.calls


def test_the_report_of_the_run_tells_of_the_curve(run: Path, workflow_file: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["budget_curve"] is None
    forced, _ = measure(workflow_file, run)
    assert main(["report", str(run), "--json"]) == 0
    curves = json.loads(capsys.readouterr().out)["budget_curve"]
    assert [one["method"] for one in curves] == ["budget forcing", "rejection sampling"]
    assert curves[0]["scaling"] == forced.scaling and curves[0]["points"][1]["setting"] == "at most 4"
    assert main(["report", str(run)]) == 0
    out = capsys.readouterr().out
    assert "rejection sampling: generation-1, 15 problems" in out and "●" in out


@pytest.mark.slow
def test_mlflow_shows_the_curve_on_the_run_once(run: Path, workflow_file: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    ids = json.loads((run / "mlflow.json").read_text())
    client = MlflowClient(ids["uri"])
    before = client.get_run(ids["run_id"]).info
    forced, _ = measure(workflow_file, run)
    measure(workflow_file, run)
    after = client.get_run(ids["run_id"])
    assert (after.info.status, after.info.end_time) == ("FINISHED", before.end_time)
    history = client.get_metric_history(ids["run_id"], "budget_curve/accuracy")
    assert [(point.step, point.value) for point in history] == [(round(point.thinking_tokens), point.accuracy) for point in forced.points]
    metrics = after.data.metrics
    assert metrics["budget_curve/control"] == 1 and metrics["budget_curve/scaling"] == pytest.approx(forced.scaling)
    assert metrics["budget_curve/accuracy_low"] == pytest.approx(forced.points[-1].interval[0])
    assert metrics["budget_curve/rejection_performance"] > 0
    files = {file.path for file in client.list_artifacts(ids["run_id"], "budget_curve")}
    assert files == {"budget_curve/curve.json", "budget_curve/curve.png"}

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'another.db'}")
    assert measure(workflow_file, run)[0] == forced
    assert not (tmp_path / "another.db").exists()


def test_a_folder_made_with_other_settings_is_refused(run: Path, workflow_file: ModuleType) -> None:
    measure(workflow_file, run)
    with pytest.raises(UserError, match="budget-curve was made with different requests"):
        measure(workflow_file, run, budgets={"own length": None})


def test_a_champion_whose_tokens_cannot_be_counted_is_refused_before_sampling(run: Path, workflow_file: ModuleType) -> None:
    (run / "champion" / "tokenizer.json").write_text("{}")
    accept_champion(run)
    with pytest.raises(UserError, match=r"no readable tokenizer\.json"):
        measure(workflow_file, run)
    (run / "champion").unlink()
    with pytest.raises(UserError, match="has no champion"):
        measure(workflow_file, run)
    assert not ObedientSampler.calls


def test_a_folder_without_a_run_is_refused_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(FILE), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("budget_curve: ") and done.stderr.count("\n") == 1
