"""A run whose checkpoints are removed as it goes is the same run, and every command knows what is gone."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from killable import files_of, reports
from toy import Sums, ToyPreference, make_toy_model, toy_workflow

from selfimprove import InlineCluster, PreferencePairs, UserError, Workflow, improve
from selfimprove.__main__ import main
from selfimprove.protocols import Gate
from selfimprove.records import Decision, Score
from selfimprove.reports.table import summarize
from selfimprove.settings.paths import override
from selfimprove.storage import retention
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.verify import verify
from selfimprove.terminal.progress import NoProgress


@dataclass(frozen=True)
class Scripted(Gate):
    """Promotes the candidates of these generations."""

    promoted: tuple[int, ...]

    def decide(self, champion: Score, candidate: Score) -> Decision:
        promote = int(candidate.checkpoint_id.rpartition("-")[2]) in self.promoted
        return Decision(promote, "promoted" if promote else "refused")


class Listening(NoProgress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_model(tmp_path_factory.mktemp("models") / "model", 0.4)


def small(model: Path, *promoted: int, **changes: Any) -> Workflow:
    """A run of three generations on a few problems."""
    parts = {"problems": Sums(14), "eval_problems": 4, "first_prompter": None, "answer_only_baseline": False, "gate": Scripted(promoted)}
    return toy_workflow(model, **{"generations": 3, "keep_checkpoints": "champion", **parts, **changes})


def there(root: Path) -> list[str]:
    """The checkpoints of generations that are on disk."""
    return sorted(path.parent.relative_to(root).as_posix().removeprefix("generation-") for path in root.glob("generation-*/**/checkpoint"))


@pytest.mark.parametrize(
    ("promoted", "left", "changes"),
    [
        # The control is of no generation: it is needed when the run goes on.
        ((1, 2), ["02"], {"start_from": "champion", "answer_only_baseline": True, "test_problems": 3}),
        # The champion before the last may sample the next generation.
        ((1, 2, 3), ["02", "03"], {"overlap": 1}),
        # Of two trainings in a row, the second makes the candidate.
        ((1, 3), ["03/preference"], {"preference_pairs": PreferencePairs(trainer=ToyPreference())}),
    ],
)
def test_a_run_goes_on_from_what_it_has_kept(
    promoted: tuple[int, ...], left: list[str], changes: dict[str, Any], model: Path, tmp_path: Path
) -> None:
    workflow, folder, told = small(model, *promoted, **changes), tmp_path / "run", Listening()
    improve(workflow, folder, InlineCluster, progress=told)
    assert there(folder) == left and RunFolder(folder).champion().generation == promoted[-1]
    assert [line for line in told.said if line.startswith("removed the checkpoint")]
    found = verify(RunFolder(folder))
    assert not found["differs"] and found["removed"]
    # Nothing that was removed is missed by a further generation.
    improve(replace(workflow, generations=4), folder, InlineCluster)
    improve(
        replace(workflow, generations=4, keep_checkpoints="all", answer_only_baseline=False, test_problems=changes.get("test_problems")),
        tmp_path / "all",
        InlineCluster,
    )
    assert reports(folder) == reports(tmp_path / "all")
    kept, every = ({name: text for name, text in files_of(root).items() if name.startswith("gen")} for root in (folder, tmp_path / "all"))
    assert kept.items() <= every.items() and all("/checkpoint/" in name for name in every.keys() - kept.keys())


def test_a_run_that_is_killed_while_it_removes_ends_as_if_nothing_had_happened(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = small(model, 1, 2, 3)
    improve(workflow, tmp_path / "whole", InlineCluster)
    for kill in ("write_json", "_rename", "_clear"):
        work = getattr(retention, kill)

        def killed(*given: Any, work: Any = work) -> None:
            work(*given)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(retention, kill, killed)
            improve(workflow, tmp_path / "run", InlineCluster)
        assert RunFolder(tmp_path / "run").champion().generation == 2, kill
        assert verify(RunFolder(tmp_path / "run"))["differs"] == []
    improve(workflow, tmp_path / "run", InlineCluster)
    assert files_of(tmp_path / "run") == files_of(tmp_path / "whole") and there(tmp_path / "run") == ["03"]


WORKFLOW = """
from pathlib import Path
from selfimprove import AlwaysPromote
from toy import Sums, toy_workflow
workflow = toy_workflow(
    Path({model!r}), problems=Sums(14), eval_problems=4, first_prompter=None, answer_only_baseline=False, gate=AlwaysPromote(), generations=3
)
"""


def test_a_run_that_is_continued_with_fewer_checkpoints_removes_the_others_and_every_command_knows(
    model: Path, tmp_path: Path, untracked: None, capfd: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "toys.py", tmp_path / "run"
    file.write_text(WORKFLOW.format(model=str(model)))
    command = ["run", str(file), "--inline", "--run-dir", str(run)]

    def told(*arguments: str, code: int = 0) -> str:
        """What a command prints, on one line."""
        capfd.readouterr()
        assert main(list(arguments)) == code
        out, err = capfd.readouterr()
        assert code == 0 or (out == "" and err.count("\n") == 1)
        return " ".join((out + err).split())

    assert "checkpoints on disk" not in told(*command) and there(run) == ["01", "02", "03"]
    assert "removed the checkpoint of generation 1: 1" in told(*command, "--set", "keep_checkpoints=2") and there(run) == ["02", "03"]
    assert "removed the checkpoint of generation 2: 1" in told(*command, "--set", "keep_checkpoints=champion") and there(run) == ["03"]
    line = r"checkpoints on disk: generation 3; removed: generations 1 and 2, \d+ bytes freed \(keep_checkpoints=champion\)"
    assert re.search(line, told("report", str(run)))
    assert json.loads(told("report", str(run), "--json"))["checkpoints"]["removed"] == [1, 2]
    assert "generation-01/checkpoint was removed by the run (keep_checkpoints)" in told("verify", str(run))
    gone = r"the weights of generation {} were removed on 20\d\d-\d\d-\d\d \d\d:\d\d UTC by keep_checkpoints={}; "
    asked = told("ask", str(run / "generation-01" / "checkpoint"), "1 + 1?", code=2)
    assert re.fullmatch(f"selfimprove: {gone.format(1, 2)}{run} has those of generation 3", asked)
    # What needs no weights works.
    assert "generation-01" in told("reverify", str(run)) and told("traces", str(run), "--generation", "1")

    refused = told("fork", str(run), "--from-generation", "3", "--inline", code=2)
    assert re.fullmatch(f"selfimprove: cannot fork {run} from generation 3: {gone.format(2, 'champion')}fork from generation 1 or 4", refused)
    assert not list(tmp_path.glob("run-fork*"))
    told("fork", str(run), "--from-generation", "4", "--inline", "--set", "generations=4", "--set", "keep_checkpoints=all")
    assert there(tmp_path / "run-fork-4") == ["03", "04"] and verify(RunFolder(tmp_path / "run-fork-4"))["differs"] == []
    told("fork", str(run), "--from-generation", "1", "--inline")
    assert there(tmp_path / "run-fork-1") == ["03"]

    # A checkpoint that was put back is one again, and is compared.
    shutil.copytree(tmp_path / "run-fork-4" / "generation-03" / "checkpoint", run / "generation-02" / "checkpoint")
    assert "generation-02/checkpoint/config.json has changed since it was written" in told_of(run)
    assert summarize(RunFolder(run))["checkpoints"]["removed"] == [1]


def told_of(run: Path) -> list[str]:
    return [f"{one['file']} {one['how']}" for one in verify(RunFolder(run))["differs"]]


@pytest.mark.parametrize("keep", ["champions", "0", "-1", "true", "1.5", "null"])
def test_another_value_is_refused_in_one_line(keep: str, model: Path) -> None:
    line = f'--set keep_checkpoints={keep}: keep_checkpoints: Value error, give "champion", "all", or a number of generations from 1 on'
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        override(small(model), f"keep_checkpoints={keep}")


def test_a_run_whose_last_generation_was_taken_away_says_what_it_lacks(model: Path, tmp_path: Path) -> None:
    workflow, folder = small(model, 1, 2, 3), tmp_path / "run"
    improve(workflow, folder, InlineCluster)
    shutil.rmtree(folder / "generation-03")
    with pytest.raises(
        UserError, match=r"the weights of generation 2 were removed on .*; no generation has its weights, only the base model is left"
    ):
        improve(workflow, folder, InlineCluster)
