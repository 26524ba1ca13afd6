"""The benchmark of one GPU: its steps in processes of their own, its table, and what works without a GPU."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.figures import Figure, figure
from benchmarks.gpu_steps import STEPS, grpo, stock, train


def step(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_step_that_fails_or_takes_too_long_keeps_its_figures_and_is_named() -> None:
    told = "import benchmarks.figures as f; f.hand_on([f.Figure('n', '', 1, 1, 1, 1, '', 'c')])"
    one = Figure("n", "", 1, 1, 1, 1, "", "c")
    assert gpu.run_step(step(told), 20) == ([one], "")
    assert gpu.run_step(step(f"{told}; print('out of memory'); raise SystemExit(3)"), 20) == ([one], "failed with exit code 3: out of memory")
    slow = f"import sys, time; {told}; sys.stdout.flush(); time.sleep(600)"
    assert gpu.run_step(step(slow), 2) == ([one], "ended after 2 s")


def test_what_a_step_started_ends_with_it(tmp_path: Path) -> None:
    later = f"import time; time.sleep(3); open({str(tmp_path / 'late')!r}, 'w')"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {later!r}])"
    gpu.run_step(step(code), 20)
    time.sleep(4)
    assert not (tmp_path / "late").exists()


def test_shares_follow_from_the_figures_of_several_steps() -> None:
    rates = [
        figure("135M: sampled tokens/s in the loop, 30 tokens", "", [90.0], "c", "1/s"),
        figure("135M: sampled tokens/s of bare vLLM, 30 tokens", "", [100.0], "c", "1/s"),
        figure("1.5B, 8 rows of up to 2,048 tokens: trained tokens/s", "", [40_000.0], "c", "1/s"),
        figure("bf16 matmul peak", "", [800.0], "c", "TFLOP/s"),
    ]
    found = {one.name: one for one in gpu.ratios({one.name: one for one in rates})}
    sampled = found["135M: sampled tokens/s in the loop ÷ bare vLLM, 30 tokens"]
    assert sampled.measured == pytest.approx(0.9) and not sampled.met
    share = found["1.5B, 8 rows of up to 2,048 tokens: share of the bf16 matmul peak"]
    assert share.measured == pytest.approx(6 * 1.5437e9 * 40_000 / 800e12, rel=1e-3) and share.met
    assert len(found) == 2


def test_the_table_tells_what_failed_and_what_has_not_been_run() -> None:
    one = {"name": "bf16 matmul peak", "aim": "", "measured": 790.0, "low": 790.0, "high": 790.0, "repeats": 1, "unit": "TFLOP/s", "command": "c"}
    results = {
        "matmul": {"machine": "a card", "figures": [one], "failed": ""},
        "grpo-trainer": {"machine": "a card", "figures": [], "failed": "ended after 60 s"},
    }
    page = gpu.page(results)
    assert "| bf16 matmul peak | — | 790 TFLOP/s [1] | `c` |" in page and "* `grpo-trainer` ended after 60 s [1]" in page
    assert "* `loop-1.5B` has not been run" in page and page.endswith("1. a card\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_on_a_cpu_a_step_runs_small_and_its_figures_go_where_they_are_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--cpu", "--only", "matmul", "--into", str(tmp_path), "--models", str(tmp_path / "models")]) == 0
    assert "bf16 matmul peak" in capsys.readouterr().out and "| bf16 matmul peak | — |" in (tmp_path / "GPU.md").read_text()
    assert sum(limit for _, limit in STEPS.values()) < 900


@pytest.mark.trl
def test_the_steps_that_train_work_on_tiny_models(tmp_path: Path) -> None:
    figures = [*train("135M", 32, 512, tmp_path, True), *stock("135M", 32, 512, tmp_path, True), *grpo("trainer", tmp_path, True)]
    assert len(figures) == 3 and all(one.measured > 0 for one in figures)
