"""Solve rates predicted in the loop, and budgets by them, with toy parts in this process."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from obedient import give_letters, letters
from safetensors import safe_open
from toy import Sums, ToySampler, make_toy_model, toy_workflow
from toy_embedder import ToyEmbedder

from selfimprove import Budget, BudgetByDifficulty, DifficultyModel, InlineCluster, Sampling, Teacher, UserError, Workflow, improve
from selfimprove.__main__ import main
from selfimprove.protocols import Sampler
from selfimprove.records import Checkpoint, Request, Trace
from selfimprove.storage.files import read_json, write_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking.figures import of_report

pytestmark = pytest.mark.slow

RULE = BudgetByDifficulty(easy=4, hard=24, mean=10, otherwise=Budget(answer_tokens=8))


@dataclass(frozen=True)
class Selective(Sampler):
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

    def rest(self, same_weights: bool = False) -> None: ...

    def close(self) -> None: ...


def workflow_of(model: Path, **changes: object) -> Workflow:
    settings: dict[str, object] = {
        "problems": Sums(160),
        "eval_problems": 40,
        "sampler": Selective(),
        "sampling": Sampling(n=3, max_tokens=64, budget=RULE),
        "difficulty": DifficultyModel(embedder=ToyEmbedder()),
        "answer_only_baseline": False,
    }
    return toy_workflow(model, **(settings | changes))


def fresh(folder: Path) -> Path:
    """A toy model; nobody was asked anything yet."""
    Selective.asked.clear()
    ToyEmbedder.calls.clear()
    model = make_toy_model(folder / "model", 0.2)
    give_letters(model)
    return model


@dataclass(frozen=True)
class Finished:
    """A run of two generations, what its sampler was asked, and how many questions its embedder read."""

    folder: Path
    model: Path
    asked: tuple[Request, ...]
    read: tuple[int, ...]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    place = tmp_path_factory.mktemp("predicting")
    model = fresh(place)
    improve(workflow_of(model), place / "run", InlineCluster)
    return Finished(place / "run", model, tuple(Selective.asked), tuple(ToyEmbedder.calls))


def limits(asked: Sequence[Request], namespace: str) -> dict[str, int]:
    return {one.problem_id: (one.budget and one.budget.max_tokens) or 0 for one in asked if f"/{namespace}/" in one.id}


def test_from_the_second_generation_on_hard_problems_think_longer(finished: Finished) -> None:
    assert set(limits(finished.asked, "g1").values()) == {10}, "nothing is known yet"
    given = limits(finished.asked, "g2")
    assert len(given) == 120 and sum(given.values()) == 120 * 10
    number = {name: int(name.removeprefix("sum-")) % 20 for name in given}
    hardest, easiest = ([limit for name, limit in given.items() if number[name] in found] for found in ((17, 18, 19), (0, 1, 2)))
    assert min(hardest) > 15 and max(easiest) < 6
    assert set(limits(finished.asked, "generation-2-exam").values()) == {0}, "the evaluation has no budget"
    predicted = read_json(finished.folder / "generation-02" / "difficulty" / "predicted.json", dict[str, float])
    assert predicted.keys() == given.keys() and finished.read == (120,)


def test_the_evaluation_goes_by_difficulty_where_that_is_set(tmp_path: Path) -> None:
    evaluation = Sampling(n=1, temperature=0.0, max_tokens=64, budget=RULE)
    improve(workflow_of(fresh(tmp_path), eval_sampling=evaluation), tmp_path / "run", InlineCluster)
    given = limits(Selective.asked, "generation-2-exam")
    assert len(set(given.values())) > 3 and sum(given.values()) == 40 * 10
    assert set(limits(Selective.asked, "generation-1-exam").values()) == set(limits(Selective.asked, "base-exam").values()) == {10}
    assert sum(limits(Selective.asked, "g2").values()) == 120 * 10, "each set has the mean by itself"


def test_the_report_tells_how_good_the_predictions_were(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = RunFolder(finished.folder).reports()[1:]
    assert not first.difficulty and "predict" not in first.seconds
    found = second.difficulty.figures()
    assert found["problems"] == found["forecast_problems"] == 120
    assert found["brier"] < 0.85 * found["base_brier"] and found["auroc"] > 0.75
    assert found["forecast_brier"] < 0.85 * found["forecast_base_brier"] and found["forecast_auroc"] > 0.75
    assert of_report(second)["difficulty/brier"] == found["brier"] and "predict" in second.seconds
    assert main(["report", str(finished.folder)]) == 0
    out = capsys.readouterr().out
    assert f"difficulty, out of fold: Brier {found['brier']:.3f} (base rate {found['base_brier']:.3f}), AUROC" in out
    assert "difficulty, forecast: Brier" in out


def test_the_model_of_difficulty_is_kept_with_the_hash_of_the_checkpoint_it_reads(finished: Finished) -> None:
    folder = finished.folder / "generation-02" / "difficulty"
    assert {file.name for file in folder.iterdir()} == {
        "model.safetensors",
        "predicted.json",
        "predicted.manifest.json",
        "reliability.json",
        "reliability.png",
        "SHA256SUMS",
    }
    start = RunFolder(finished.folder).reports()[2].start
    with safe_open(folder / "model.safetensors", framework="np") as file:
        assert file.metadata()["weights_hash"] == start.weights_hash and file.metadata()["checkpoint"] == start.id
        weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
    for problem in RunFolder(finished.folder).problems("train")[:5]:
        ((_, features),) = next(ToyEmbedder().embed(start, [("it", ({"role": "user", "content": problem.question},))]))
        rate = read_json(folder / "predicted.json", dict[str, float])[problem.id]
        assert 1 / (1 + math.exp(-float(weight @ features + bias[0]))) == pytest.approx(rate, abs=1e-5)


def test_a_run_stopped_after_its_predictions_goes_on_with_the_same(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "run", symlinks=True)
    place = tmp_path / "run" / "generation-02"
    kept = [file for file in place.rglob("*") if file.suffix in (".parquet", ".json") and file.name not in ("report.json", "seconds.json")]
    before = {file: file.read_bytes() for file in kept}
    (place / "report.json").unlink()
    (place / "verdicts" / "shard-00000.parquet").unlink()
    ToyEmbedder.calls.clear()
    improve(workflow_of(finished.model), tmp_path / "run", InlineCluster)
    assert not ToyEmbedder.calls, "what was predicted is only read"
    assert {file: file.read_bytes() for file in before} == before

    shutil.rmtree(place / "difficulty")
    (place / "report.json").unlink()
    improve(workflow_of(finished.model), tmp_path / "run", InlineCluster)
    assert ToyEmbedder.calls == [120] and {file: file.read_bytes() for file in before} == before


def test_predictions_of_another_ledger_are_refused(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "run", symlinks=True)
    (tmp_path / "run" / "generation-02" / "report.json").unlink()
    manifest = tmp_path / "run" / "generation-02" / "difficulty" / "predicted.manifest.json"
    write_json(manifest, json.loads(manifest.read_text()) | {"ledgers": "others"})
    with pytest.raises(UserError, match="was made with different ledgers"):
        improve(workflow_of(finished.model), tmp_path / "run", InlineCluster)


def test_predictions_move_with_the_evaluation(tmp_path: Path) -> None:
    """The toy model is right about half of the time with exemplars, whatever the question, and nearly always when it is trained."""
    sampling = Sampling(n=3, max_tokens=64)
    improve(workflow_of(fresh(tmp_path), sampler=ToySampler(), sampling=sampling), tmp_path / "run", InlineCluster)
    first, second = RunFolder(tmp_path / "run").reports()[1:]
    assert first.counts.verified / first.counts.sampled < 0.6 and first.kept_score.pass_at_1 > 0.85
    rates = read_json(tmp_path / "run" / "generation-02" / "difficulty" / "predicted.json", dict[str, float])
    assert sum(rates.values()) / len(rates) > 0.8 and second.difficulty.figures()["forecast_calibration_error"] < 0.2


def test_a_few_problems_are_not_predicted_and_all_get_the_mean(tmp_path: Path) -> None:
    improve(workflow_of(fresh(tmp_path), problems=Sums(30), eval_problems=15), tmp_path / "run", InlineCluster)
    assert not ToyEmbedder.calls and set(limits(Selective.asked, "g2").values()) == {10}
    assert not RunFolder(tmp_path / "run").reports()[2].difficulty


def test_what_a_teacher_solved_says_nothing_of_the_student(tmp_path: Path) -> None:
    model = fresh(tmp_path)
    improve(workflow_of(model, teacher=Teacher(sampler=Selective(), model=str(model)), generations=3), tmp_path / "run", InlineCluster)
    assert set(limits(Selective.asked, "g2").values()) == {10} and len(set(limits(Selective.asked, "g3").values())) > 3
