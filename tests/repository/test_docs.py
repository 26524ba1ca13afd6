"""The Python code in the documentation runs, with toy parts in this process."""

from __future__ import annotations

import shutil
import sys
import textwrap
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from markdown_blocks import python_blocks, run_blocks
from places import ROOT
from toy import EXEMPLAR, Sums, ToySampler, ToyTrainer, make_toy_model, toy_workflow

import selfimprove
from selfimprove import InlineCluster, Sampling, Workflow, improve
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.records import AcceptedTrace, Checkpoint, Outcome
from selfimprove.storage.run_folder import RunFolder

pytestmark = pytest.mark.slow

PAGES = [
    pytest.param(page, id=page.name, marks=pytest.mark.slow if page.stem == "mlflow" else ())
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if python_blocks(page)
]


@pytest.fixture
def toy(documented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """A toy workflow; the current folder is temporary and contains a finished run of another workflow."""
    shutil.copytree(documented / "runs", tmp_path / "runs", symlinks=True)
    monkeypatch.chdir(tmp_path)
    return toy_workflow(make_toy_model(tmp_path / "model", 0.3), problems=Sums(60), sampling=Sampling(n=1, max_tokens=32))


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page: Path, toy: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    # workflows/distill.py would train two real models: only the arguments that its page shows are checked.
    given: dict[str, object] = {}
    monkeypatch.setitem(sys.modules, "distill", SimpleNamespace(WORKFLOW=toy, main=given.update))  # type: ignore[arg-type]
    run_blocks(page, workflow=toy, EXEMPLARS=(EXEMPLAR,) * 2, RayCluster=InlineCluster)
    assert page.stem != "distillation" or {"workflow", "sizes", "folder"} == set(given)


def test_the_parts_of_the_guide_work_in_a_run(toy: Workflow, tmp_path: Path) -> None:
    parts = run_blocks(ROOT / "docs" / "how-to" / "extending.md")
    changes = {"verifier": parts["Near"](), "selector": parts["Shortest"](), "problems": parts["Doubles"](60)}
    workflow = toy_workflow(Path(toy.base_model), **changes, generations=1, answer_only_baseline=False)
    improve(workflow, tmp_path / "run", InlineCluster)
    report = RunFolder(tmp_path / "run").reports()[1]
    right = report.outcomes[Outcome.CORRECT]
    assert 0 < report.counts.accepted < right and report.drops == {"not the shortest": right - report.counts.accepted}


def test_the_trainer_of_the_guide_learns(tiny_model: Path, tmp_path: Path) -> None:
    trainer = run_blocks(ROOT / "docs" / "how-to" / "extending.md")["PlainLoop"](learning_rate=3e-3)
    row = AcceptedTrace("t", "p", ({"role": "user", "content": "4 + 3 ="},), "<think>\n4 + 3 = 7.\n</think>\n7", "sampled", 1)
    start: Checkpoint = describe_folder(tiny_model, "base")
    steps = list(trainer.open().train(start, [row] * 24, tmp_path / "student", 0))
    assert steps[-1].loss < steps[0].loss / 2 and [step.step for step in steps] == list(range(1, 25))
    trained = describe_folder(tmp_path / "student", "student")
    assert trained.weights_hash != start.weights_hash and trained.tokenizer_hash == start.tokenizer_hash


def test_the_example_in_help_selfimprove_runs(toy: Workflow, tmp_path: Path) -> None:
    assert selfimprove.__doc__
    code = textwrap.dedent("\n".join(line for line in selfimprove.__doc__.splitlines() if line.startswith("    ")))
    imports, assignment, tour = code.partition("workflow = ")
    toys = {"RayCluster": InlineCluster, "VLLM": lambda engine: ToySampler(), "SFT": ToyTrainer, "ReasoningGym": lambda *_, **__: Sums(150)}
    namespace: dict[str, object] = {}
    exec(imports, namespace)
    namespace |= {**toys, "Workflow": partial(Workflow, base_model=toy.base_model)}
    exec(assignment + tour, namespace)
    assert namespace["champion"].generation > 0 and len(RunFolder(tmp_path / "runs" / "sums").reports()) == 3  # type: ignore[attr-defined]
