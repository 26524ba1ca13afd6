"""The process reward workflow, from labels to the plot and MLflow, with toy parts in this process."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from places import WORKFLOWS
from stepwise import LINES, SeesErrors, Stepwise, make_stepwise_model
from toy import accept_champion, make_toy_model

from selfimprove import InlineCluster, Sampling
from selfimprove.__main__ import main
from selfimprove.evaluation.equal_tokens import PLAIN, RewardUses
from selfimprove.process_reward.rollouts import Rollouts
from selfimprove.process_reward.search import Search
from selfimprove.protocols import OpenTrainer, Trainer
from selfimprove.records import Checkpoint, LabelledTrace, TrainingStep
from selfimprove.storage.files import read_json
from selfimprove.studies.reward_uses import Uses

pytestmark = pytest.mark.slow

FILE = WORKFLOWS / "process_reward.py"
WORKFLOW = """
from pathlib import Path
from stepwise import Stepwise
from toy import toy_workflow
from selfimprove import Sampling
workflow = toy_workflow(
    Path({model!r}), sampler=Stepwise(), sampling=Sampling(max_tokens=200), eval_sampling=Sampling(max_tokens=200), answer_only_baseline=False,
    generations=1
)
"""
USES = Uses(
    plain=Sampling(n=8, temperature=0.8, max_tokens=200),
    searches={
        "beam": (1, Search(width=2, expansions=2)),
        "trees": (2, Search(expansions=2)),
        "early stop": (8, Search(stop_below=0.5)),
    },
    lowest_steps=(0.5,),
)


@dataclass(frozen=True)
class Learner(Trainer, OpenTrainer):
    """Records the rows that it was given."""

    rows: ClassVar[list[LabelledTrace]] = []

    def open(self) -> Learner:
        return self

    def train(self, start: Checkpoint, rows: Sequence[LabelledTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        self.rows[:] = rows
        make_toy_model(into, 0.0)
        yield TrainingStep(1, 1, 0.5, 1e-4, 100)


@pytest.fixture(scope="module")
def workflow_file() -> ModuleType:
    spec = importlib.util.spec_from_file_location("process_reward_workflow", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, workflow_file: ModuleType) -> Path:
    """A finished run with all uses measured."""
    folder = tmp_path_factory.mktemp("uses")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        file = folder / "toys.py"
        file.write_text(WORKFLOW.format(model=str(make_stepwise_model(folder / "model"))))
        assert main(["run", str(file), "--inline", "--run-dir", str(folder / "run")]) == 0
        champion = folder / "run" / "champion"
        (champion / "tokenizer.json").write_bytes((folder / "model" / "tokenizer.json").read_bytes())
        accept_champion(folder / "run")
        measure(workflow_file, folder / "run")
    return folder / "run"


def measure(module: ModuleType, run: Path) -> RewardUses:
    settings = {"trainer": Learner(), "scorer": lambda checkpoint: SeesErrors(), "uses": USES, "start_cluster": lambda logs, ship: InlineCluster()}
    result: RewardUses = module.main(run, rollouts=Rollouts(least=2, most=2, max_tokens=200, wrong=6, correct=6), **settings)
    return result


def test_the_trainer_gets_every_thought_of_the_labelled_traces_with_its_rollouts(run: Path) -> None:
    assert len(Learner.rows) == 12 and all(len(row.labels) == LINES and set(row.counts) == {2} for row in Learner.rows)
    for row in Learner.rows:
        assert all(label == 0 for thought, label in zip(row.thoughts, row.labels, strict=True) if "bad" in thought)


def test_a_reward_model_that_sees_every_error_is_worth_many_samples(run: Path) -> None:
    result = read_json(run / "process-reward" / "uses" / "result.json", RewardUses)
    accuracy = {(one.way, one.choice, round(one.samples)): one.accuracy for one in result.points if one.way == PLAIN}
    assert accuracy[PLAIN, "best of N", 8] > accuracy[PLAIN, "majority", 8] > accuracy[PLAIN, "majority", 1]
    gaps = {(gap.way, gap.choice, gap.against): gap for gap in result.differences}
    assert gaps["beam", "weighted majority", "plain sampling"].low > 0.3
    assert gaps[PLAIN, "best of N", "majority"].samples == 8
    for gap in result.differences:
        assert gap.low <= gap.difference <= gap.high and 1 <= gap.samples <= 8
    (stop,) = result.stops
    assert 0 < stop.hopeless < stop.traces == 8 * result.problems and stop.tokens < stop.plain_tokens
    assert stop.right_per_1000 > stop.plain_right_per_1000
    (sifted,) = result.sifted
    assert sifted.dropped == 0 < sifted.kept, "an error makes the answer wrong, so no correct trace has one"


def test_the_result_is_printed_and_plotted(run: Path, workflow_file: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    calls = len(Stepwise.calls)
    measure(workflow_file, run)
    assert len(Stepwise.calls) == calls, "finished work is read from disk"
    shown = capfd.readouterr().out
    assert "at equal sampled tokens" in shown and "traces given up" in shown and "lowest_step 0.5: keeps" in shown
    assert (run / "process-reward" / "uses" / "result.png").read_bytes().startswith(b"\x89PNG")


def test_mlflow_shows_the_result_on_the_run(run: Path) -> None:
    from mlflow import MlflowClient

    ids = json.loads((run / "mlflow.json").read_text())
    client = MlflowClient(ids["uri"])
    metrics = client.get_run(ids["run_id"]).data.metrics
    result = read_json(run / "process-reward" / "uses" / "result.json", RewardUses)
    found = next(gap for gap in result.differences if (gap.way, gap.against) == ("beam", "majority"))
    assert metrics["process_reward/beam_weighted_majority_over_majority"] == pytest.approx(found.difference)
    assert metrics["process_reward/early_stop_saved"] > 0
    files = {file.path for file in client.list_artifacts(ids["run_id"], "process_reward")}
    assert files == {"process_reward/result.json", "process_reward/result.png"}


def test_a_folder_without_a_run_is_refused_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(FILE), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("process_reward: ") and done.stderr.count("\n") == 1
