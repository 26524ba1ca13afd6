"""The notebook docs/first_hour.ipynb: its cells run from top to bottom in one namespace, with toy parts for the model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from places import ROOT
from toy import ToySampler, ToyTrainer, make_toy_model, write_tokenizer

from selfimprove import InlineCluster

NOTEBOOK = json.loads((ROOT / "docs" / "first_hour.ipynb").read_text())


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_tokenizer(model := make_toy_model(tmp_path / "model", 0.3))
    smaller = {
        "base_model": str(model),
        "sampler": ToySampler(),
        "trainer": ToyTrainer(),
        "cluster": lambda logs: InlineCluster(),
        "generations": 1,
    }
    here = ModuleType("first_hour")
    for number, cell in enumerate(NOTEBOOK["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), here.__dict__)
        if "parameters" in cell["metadata"].get("tags", ()):
            assert set(smaller) <= set(here.__dict__)
            here.__dict__.update(smaller)
    shown = capfd.readouterr().out
    assert Path(here.__dict__["champion"].path).is_dir() and (tmp_path / "runs/first-hour/report.html").exists()
    # What check finds, the link to MLflow, progress in plain lines, the table and two traces of each kind.
    for wanted in ("references: right accepts all", "mlflow ui --backend-store-uri sqlite:///", "generation 1, sampling: ", "on pass@1", "reference"):
        assert wanted in shown, wanted
    assert "\x1b[" not in shown
    assert (tmp_path / "runs/mlflow.db").exists()


def test_the_notebook_is_small_and_holds_no_outputs() -> None:
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert NOTEBOOK["nbformat"] == 4 and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    assert not re.search(r"^\s*[!%]", "\n".join(line for cell in code for line in cell["source"]), re.MULTILINE)
