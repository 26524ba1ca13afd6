"""`selfimprove run --tracker`."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import make_toy_model

from selfimprove import MLflow, TensorBoard, UserError
from selfimprove.__main__ import main
from selfimprove.tracking.named import require, trackers, trackers_of

WORKFLOW = "from toy import toy_workflow\nworkflow = toy_workflow({model!r}, generations=1)\n"


def test_names_become_trackers_and_a_study_takes_those_that_have_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = tmp_path / "runs" / "a"
    beside = MLflow(f"sqlite:///{tmp_path}/runs/mlflow.db")
    assert trackers(None, run) == trackers_of(run) == [beside]
    assert trackers(["tensorboard", "mlflow", "tensorboard"], run) == [TensorBoard(), beside]
    assert trackers(["none"], run) == []
    run.mkdir(parents=True)
    (run / "tensorboard.json").write_text("{}")
    assert trackers_of(run) == [TensorBoard()]
    with pytest.raises(UserError, match="--tracker none goes with no other tracker"):
        require(["mlflow", "none"])


def test_run_logs_to_the_tracker_of_that_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "experiment.py"
    file.write_text(WORKFLOW.format(model=str(make_toy_model(tmp_path / "model", 0.3))))
    command = ["run", str(file), "--inline", "--run-dir", str(tmp_path / "runs" / "a")]
    assert main([*command, "--tracker", "tensorboard"]) == 0
    assert "tensorboard --logdir" in capfd.readouterr().out
    assert list((tmp_path / "runs" / "tensorboard").rglob("events*")) and not (tmp_path / "runs" / "mlflow.db").exists()
    with pytest.raises(SystemExit) as refused:
        main([*command, "--tracker", "tensorbord"])
    assert refused.value.code == 2 and "did you mean tensorboard?" in capfd.readouterr().err
    assert main([*command, "--tracker", "none", "--tracker", "mlflow"]) == 2
    assert capfd.readouterr().err.count("\n") == 1
