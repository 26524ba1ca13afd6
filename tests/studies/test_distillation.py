"""Distillation with toy parts in this process, and once with a real tiny model."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from places import WORKFLOWS
from tiny_model import make_tiny_model
from toy import ToySampler, ToyTrainer, make_toy_model, skill_of, toy_workflow

from selfimprove import InlineCluster, KeepCorrect, UserError, Workflow
from selfimprove.protocols.no_tracker import NoTracker
from selfimprove.records import AcceptedTrace, Checkpoint, Score
from selfimprove.storage.files import read_records


@pytest.fixture
def distill(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The workflow's module, loaded as Python loads it as a script, with its folder on the path."""
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    spec = importlib.util.spec_from_file_location("distill", WORKFLOWS / "distill.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "quickstart")
    return module


class Counting(ToySampler):
    """Records the checkpoint and the id of every request."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        self.asked.append((checkpoint.id, request.id))
        return super()._trace(checkpoint, request)


class Recording(ToyTrainer):
    """Records what it trained from, and on which rows."""

    trained: list[tuple[Checkpoint, Sequence[AcceptedTrace]]] = []  # noqa: RUF012

    def train(self, start, rows, into, seed):  # type: ignore[no-untyped-def]
        self.trained.append((start, rows))
        yield from super().train(start, rows, into, seed)
        # A toy checkpoint has as many layers as its start.
        shutil.copyfile(Path(start.path) / "model.safetensors", into / "model.safetensors")
        config = json.loads((Path(start.path) / "config.json").read_text())
        (into / "config.json").write_text(json.dumps({**config, "skill": skill_of(into)}))


class Recorder(NoTracker):
    """Records the baselines and the final status."""

    calls: list[Any] = []  # noqa: RUF012

    def log_baseline(self, name: str, score: Score) -> None:
        self.calls.append((name, score.pass_at_1))

    def finish(self, status: str) -> None:
        self.calls.append(status)


@pytest.fixture(autouse=True)
def forget() -> None:
    for memory in (Counting.asked, Recording.trained, Recorder.calls):
        memory.clear()


def layered(folder: Path, skill: float, layers: int = 6) -> Path:
    """A toy model with layers to drop."""
    import numpy
    from safetensors.numpy import save_file

    make_toy_model(folder, skill)
    save_file({f"model.layers.{number}.weight": numpy.full((2, 5), skill + number) for number in range(layers)}, folder / "model.safetensors")
    config = {"model_type": "llama", "num_hidden_layers": layers, "skill": skill, "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def toys(tmp_path: Path, **changes: object) -> Workflow:
    base = tmp_path / "base" if (tmp_path / "base").exists() else layered(tmp_path / "base", 0.1)
    parts = {"sampler": Counting(), "trainer": Recording(), "first_prompter": None, "problems_per_generation": 20}
    return toy_workflow(base, **{**parts, **changes})


def run(distill: ModuleType, tmp_path: Path, teacher: Path, sizes: Sequence[int] = (4, 3), **changes: object) -> list[Any]:
    costs: list[Any] = distill.main(str(teacher), toys(tmp_path, **changes), sizes, tmp_path / "run", InlineCluster, Recorder())
    return costs


def test_students_train_on_the_teacher_s_traces_and_the_table_shows_what_each_costs(
    distill: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    costs = run(distill, tmp_path, layered(tmp_path / "reasoner", 0.9))
    shown = capfd.readouterr().out
    assert [(cost.name, cost.layers, cost.parameters) for cost in costs] == [
        ("teacher", 6, 60),
        ("4-layers", 4, 40),
        ("3-layers", 3, 30),
        ("3-layers-teacher", 3, 30),
    ]
    assert all(cost.score.pass_at_1 > 0.5 and cost.tokens == 12 and cost.seconds > 0 and cost.seconds_alone > 0 for cost in costs)
    for cost in costs:
        assert any(line.split()[:2] == [cost.name, str(cost.layers)] and f"{cost.score.pass_at_1:.3f}" in line for line in shown.splitlines())
    written = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [row["accuracy"] for row in written] == [cost.score.pass_at_1 for cost in costs]
    assert Recorder.calls == [*((cost.name, cost.score.pass_at_1) for cost in costs), "FINISHED"]

    # The teacher alone sampled twenty problems twice; its correct traces trained all three students.
    assert len({name for model, name in Counting.asked if "/teacher/" in name}) == 40
    assert {model for model, name in Counting.asked if "/teacher/" in name} == {"teacher"}
    rows = read_records(tmp_path / "run" / "teacher" / "rows.parquet", AcceptedTrace)
    assert {row.origin for row in rows} == {"teacher"} and {row.completion_token_ids for row in rows} == {None}
    assert 20 < len(rows) <= 40
    assert all(list(trained) == rows for _, trained in Recording.trained)
    assert [start.parent_id for start, _ in Recording.trained] == ["base", "base", "teacher"]


def test_all_models_get_the_same_evaluation(distill: ModuleType, tmp_path: Path) -> None:
    run(distill, tmp_path, layered(tmp_path / "reasoner", 0.9))
    asked = {model: {name.split("/")[0] for of, name in Counting.asked if of == model and "-exam/" in name} for model in ("teacher", "4-layers")}
    assert asked["teacher"] == asked["4-layers"] and len(asked["teacher"]) == 15


def test_the_same_command_again_reads_what_is_there_and_more_sizes_add_to_it(distill: ModuleType, tmp_path: Path) -> None:
    reasoner = layered(tmp_path / "reasoner", 0.9)
    first = run(distill, tmp_path, reasoner)
    Counting.asked.clear()
    Recording.trained.clear()
    assert run(distill, tmp_path, reasoner) == first
    assert not Counting.asked and not Recording.trained
    more = run(distill, tmp_path, reasoner, (4, 3, 2))
    assert [cost for cost in more if cost.name != "2-layers"] == first
    assert {model for model, _ in Counting.asked} == {"2-layers"} and len(Recording.trained) == 1


def test_a_measurement_that_was_stopped_starts_over_and_nothing_else_does(
    distill: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasoner, patience = layered(tmp_path / "reasoner", 0.9), 20
    through = Counting._trace

    def stopped(self, checkpoint, request):  # type: ignore[no-untyped-def]
        if checkpoint.id == "3-layers" and len([model for model, _ in self.asked if model == "3-layers"]) >= patience:
            raise KeyboardInterrupt
        return through(self, checkpoint, request)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Counting, "_trace", stopped)
        run(distill, tmp_path, reasoner)
    assert Recorder.calls[-1] == "KILLED"
    Counting.asked.clear()
    Recording.trained.clear()
    costs = run(distill, tmp_path, reasoner)
    assert len(costs) == 4 and not Recording.trained
    # One request starts the engine, ten are asked alone, then the whole evaluation.
    assert [model for model, _ in Counting.asked] == ["3-layers"] * (1 + 10 + 15) + ["3-layers-teacher"] * (1 + 10 + 15)


def test_another_teacher_is_refused_in_the_folder_of_the_first(distill: ModuleType, tmp_path: Path) -> None:
    run(distill, tmp_path, layered(tmp_path / "reasoner", 0.9))
    with pytest.raises(UserError, match="was made with different weights"):
        run(distill, tmp_path, layered(tmp_path / "other", 0.8))


def test_a_teacher_that_is_never_right_is_refused(distill: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none of the teacher's traces was accepted \(40 wrong\); .*; or choose another teacher"):
        run(distill, tmp_path, layered(tmp_path / "reasoner", 0.0))


def test_its_defaults_are_the_parts_of_the_quickstart_and_its_champion(distill: ModuleType) -> None:
    teacher, workflow, sizes, *_ = distill.main.__defaults__
    assert teacher == "./runs/quickstart/champion" and max(sizes) < 30
    assert workflow.base_model == "smollm2-135m-instruct" and workflow.selector == KeepCorrect(true_equations=True)


@pytest.mark.vllm
@pytest.mark.trl
def test_a_real_student_of_a_tiny_teacher_is_trained_and_measured(distill: ModuleType, tmp_path: Path) -> None:
    from tiny_workflow import workflow

    teacher = make_tiny_model(tmp_path / "teacher", seed=1, layers=3)
    changed = distill.replace(workflow, base_model=str(make_tiny_model(tmp_path / "base", layers=3)), problems_per_generation=8)
    costs = distill.main(str(teacher), changed, (2,), tmp_path / "run", InlineCluster, NoTracker())
    assert [(cost.name, cost.layers) for cost in costs] == [("teacher", 3), ("2-layers", 2)]
    assert costs[1].parameters < costs[0].parameters and all(0 < cost.tokens <= 12 for cost in costs)
