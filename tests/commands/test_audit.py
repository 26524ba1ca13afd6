"""Second verdicts on the stored traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy import make_toy_model

from selfimprove.__main__ import main

WORKFLOW = """
from dataclasses import dataclass
from pathlib import Path
from selfimprove.protocols import Verifier
from selfimprove.records import Outcome
from toy import toy_workflow

@dataclass(frozen=True)
class Fair(Verifier):
    name = "fair"
    version = "{version}"

    def verify(self, problem, answer):
        if {strict} and int(answer) % 2:
            return Outcome.WRONG
        return Outcome.CORRECT if answer == problem.answer else Outcome.WRONG

workflow = toy_workflow(Path({model!r}), answer_only_baseline=False, generations=1, verifier=Fair())
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_toy_model(tmp_path_factory.mktemp("models") / "model", 0.3))


@pytest.fixture
def run(tmp_path: Path, model: str, untracked: None, capsys: pytest.CaptureFixture[str]) -> Path:
    file = tmp_path / "toys.py"
    file.write_text(WORKFLOW.format(version="1", strict=True, model=model))
    assert main(["run", str(file), "--inline", "--run-dir", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    return tmp_path / "run"


def test_an_audit_counts_and_lists_where_two_verifiers_disagree(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(run), "--with", "exact", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"], found["second"]) == ("fair 1", "exact 2")
    # Sampling, two evaluations, and the evaluation of the baseline.
    assert found["judged"] == sum(map(sum, (row.values() for row in found["confusion"].values()))) == 50 + 3 * 15
    changed = found["confusion"]["wrong"]["correct"]
    assert changed == len(found["disagreements"]) > 0 and found["confusion"]["correct"]["wrong"] == 0
    assert found["agreement"] == pytest.approx(1 - changed / found["judged"])
    assert all(int(item["answer"]) % 2 and item["answer"] == item["reference"] for item in found["disagreements"])

    assert main(["audit", str(run), "--with", "math"]) == 0
    printed = capsys.readouterr().out
    assert "fair 1 (rows) against mathematical" in printed and "wrong → correct" in printed


def test_reverify_counts_by_generation_the_verdicts_that_a_new_verifier_changes(
    run: Path, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reverify", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["disagreements"] == []
    changed = tmp_path / "changed.py"
    changed.write_text(WORKFLOW.format(version="2", strict=False, model=model))
    assert main(["reverify", str(run), "--workflow", str(changed), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"], found["second"]) == ("fair 1", "fair 2")
    assert set(found["stages"]) == {"generation-00 evaluation", "generation-01", "generation-01 evaluation", "few_shot evaluation"}
    assert sum(stage["to_correct"] for stage in found["stages"].values()) == len(found["disagreements"]) > 0
    assert all(stage["from_correct"] == 0 for stage in found["stages"].values())
    assert main(["reverify", str(run), "--workflow", str(changed)]) == 0
    assert "generation-01 evaluation" in capsys.readouterr().out


def test_a_folder_without_a_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(tmp_path), "--with", "exact"]) == 2
    assert "holds no run" in capsys.readouterr().err
