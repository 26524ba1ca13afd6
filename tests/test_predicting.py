"""Solve rates predicted in the loop, and budgets by them, with toy parts in this process."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from obedient import give_letters, letters
from safetensors import safe_open
from toy import Sums, make_toy_model, toy_workflow
from toy_embedder import ToyEmbedder

from selfimprove import (
    Budget,
    BudgetByDifficulty,
    Checkpoint,
    Decoding,
    DifficultyModel,
    InlineCluster,
    Request,
    Teacher,
    Trace,
    UserError,
    Workflow,
    improve,
)
from selfimprove.__main__ import main
from selfimprove.storage.files import read_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking.figures import of_report

RULE = BudgetByDifficulty(easy=4, hard=24, mean=10, otherwise=Budget(answer_tokens=8))


@dataclass(frozen=True)
class Selective:
    """Right with a chance that falls with the remainder of the first number by 20; it notes what it was asked."""

    asked: ClassVar[list[Request]] = []

    def open(self) -> Selective:
        return self

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        for request in requests:
            self.asked.append(request)
            left, right = map(int, re.findall(r"\d+", request.messages[-1]["content"]))
            answer = left + right if request.seed % 20 > left % 20 else -1
            text = f"<think>{left} + {right} = {answer}.</think>{answer}"
            ids = tuple(letters().encode(text).ids)
            yield [Trace(request.id, request.problem_id, checkpoint.id, (1,), ids, text, (), "stop", request.temperature, request.seed)]

    def rest(self) -> None: ...

    def close(self) -> None: ...


def workflow_of(model: Path, **changes: object) -> Workflow:
    settings: dict[str, object] = {
        "problems": Sums(160),
        "held_out": 40,
        "sampler": Selective(),
        "sampling": Decoding(samples_per_problem=3, max_tokens=64, budget=RULE),
        "difficulty": DifficultyModel(embedder=ToyEmbedder()),
        "answer_only_baseline": False,
    }
    return toy_workflow(model, **(settings | changes))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Selective, "asked", [])
    monkeypatch.setattr(ToyEmbedder, "calls", [])
    folder = make_toy_model(tmp_path / "model", 0.2)
    give_letters(folder)
    return folder


def limits(namespace: str) -> dict[str, int | None]:
    return {one.problem_id: one.budget.max_tokens if one.budget else None for one in Selective.asked if f"/{namespace}/" in one.id}


def test_from_the_second_generation_on_hard_problems_think_longer(model: Path, tmp_path: Path) -> None:
    improve(workflow_of(model), tmp_path / "run", InlineCluster)
    assert set(limits("g1").values()) == {10}, "nothing is known yet"
    given = limits("g2")
    assert len(given) == 120 and sum(filter(None, given.values())) == 120 * 10
    number = {name: int(name.removeprefix("sum-")) % 20 for name in given}
    hardest, easiest = ([limit for name, limit in given.items() if number[name] in found] for found in ((17, 18, 19), (0, 1, 2)))
    assert min(filter(None, hardest)) > 15 and max(filter(None, easiest)) < 6
    assert set(limits("generation-2-exam").values()) == {None}, "the exam has no budget by difficulty"
    predicted = read_json(tmp_path / "run/generation-02/difficulty/predicted.json", dict[str, float])
    assert predicted.keys() == given.keys()
    assert ToyEmbedder.calls == [120]


def test_the_exam_goes_by_difficulty_where_that_is_set(model: Path, tmp_path: Path) -> None:
    exam = Decoding(samples_per_problem=1, temperature=0.0, max_tokens=64, budget=RULE)
    improve(workflow_of(model, exam=exam), tmp_path / "run", InlineCluster)
    given = limits("generation-2-exam")
    assert len(set(given.values())) > 3 and sum(filter(None, given.values())) == 40 * 10
    assert set(limits("generation-1-exam").values()) == set(limits("base-exam").values()) == {10}
    assert sum(filter(None, limits("g2").values())) == 120 * 10, "each set has the mean by itself"


def test_the_report_tells_how_good_the_predictions_were(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    improve(workflow_of(model), tmp_path / "run", InlineCluster)
    first, second = RunFolder(tmp_path / "run").reports()[1:]
    assert not first.difficulty and "predict" not in first.seconds
    found = second.difficulty
    assert found["problems"] == found["forecast_problems"] == 120
    assert found["brier"] < 0.85 * found["base_brier"] and found["auroc"] > 0.75
    assert found["forecast_brier"] < 0.85 * found["forecast_base_brier"] and found["forecast_auroc"] > 0.75
    assert of_report(second)["difficulty/brier"] == found["brier"] and "predict" in second.seconds
    capsys.readouterr()
    assert main(["report", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert f"difficulty, out of fold: Brier {found['brier']:.3f} (base rate {found['base_brier']:.3f}), AUROC" in out
    assert "difficulty, as it came: Brier" in out


def test_the_model_of_difficulty_is_kept_with_the_hash_of_the_checkpoint_it_reads(model: Path, tmp_path: Path) -> None:
    improve(workflow_of(model), tmp_path / "run", InlineCluster)
    folder = tmp_path / "run" / "generation-02" / "difficulty"
    assert {file.name for file in folder.iterdir()} == {"model.safetensors", "predicted.json", "reliability.json", "reliability.png"}
    start = RunFolder(tmp_path / "run").reports()[2].start
    with safe_open(folder / "model.safetensors", framework="np") as file:
        assert file.metadata()["weights_hash"] == start.weights_hash and file.metadata()["checkpoint"] == start.id
        weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
    for problem in RunFolder(tmp_path / "run").problems("train")[:5]:
        ((_, features),) = next(ToyEmbedder().embed(start, [("it", ({"role": "user", "content": problem.question},))]))
        rate = read_json(folder / "predicted.json", dict[str, float])[problem.id]
        assert 1 / (1 + math.exp(-float(weight @ features + bias[0]))) == pytest.approx(rate, abs=1e-5)


def test_a_run_stopped_after_its_predictions_goes_on_with_the_same(model: Path, tmp_path: Path) -> None:
    improve(workflow_of(model), tmp_path / "run", InlineCluster)
    place = tmp_path / "run" / "generation-02"
    before = {file: file.read_bytes() for file in place.rglob("*.*") if file.suffix in (".parquet", ".json") and "seconds" not in file.name}
    before = {file: content for file, content in before.items() if file.name not in ("report.json", "seconds.json")}
    for name in ("report.json", "verdicts/shard-00000.parquet"):
        (place / name).unlink()
    improve(workflow_of(model), tmp_path / "run", InlineCluster)
    assert ToyEmbedder.calls == [120], "what was predicted is only read"
    assert {file: file.read_bytes() for file in before} == before

    for file in (place / "difficulty").iterdir():
        file.unlink()
    (place / "difficulty").rmdir()
    (place / "report.json").unlink()
    improve(workflow_of(model), tmp_path / "run", InlineCluster)
    assert ToyEmbedder.calls == [120, 120] and {file: file.read_bytes() for file in before} == before


def test_predictions_of_another_ledger_are_refused(model: Path, tmp_path: Path) -> None:
    improve(workflow_of(model), tmp_path / "run", InlineCluster)
    (tmp_path / "run/generation-02/report.json").unlink()
    manifest = tmp_path / "run/generation-02/difficulty.manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"ledgers": "others"}))
    with pytest.raises(UserError, match="was made from other ledgers"):
        improve(workflow_of(model), tmp_path / "run", InlineCluster)


def test_a_few_problems_are_not_predicted_and_all_get_the_mean(model: Path, tmp_path: Path) -> None:
    improve(workflow_of(model, problems=Sums(30), held_out=15), tmp_path / "run", InlineCluster)
    assert not ToyEmbedder.calls and set(limits("g2").values()) == {10}
    assert not RunFolder(tmp_path / "run").reports()[2].difficulty


def test_what_a_teacher_solved_says_nothing_of_the_student(model: Path, tmp_path: Path) -> None:
    teacher = Teacher(sampler=Selective(), model=str(model))
    improve(workflow_of(model, teacher=teacher, generations=3), tmp_path / "run", InlineCluster)
    assert set(limits("g2").values()) == {10} and len(set(limits("g3").values())) > 3
