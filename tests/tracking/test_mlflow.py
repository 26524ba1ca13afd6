"""A real MLflow store after a run, after a continued run and after an outage."""

from __future__ import annotations

import json
import pickle
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from selfimprove.checkpoints.removed import Removed
from selfimprove.protocols import Tracker
from selfimprove.records import Checkpoint, GenerationCounts, GenerationReport, Score, Stage, TrainingStep
from selfimprove.storage.files import write_json
from selfimprove.storage.retention import freed, retained
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking.mlflow import MLflow

pytestmark = pytest.mark.slow

SETTINGS = {"part": "Workflow", "base_model": "tiny", "generations": 2, "verifier": {"part": "Exact"}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The address of a SQLite store, shared because making one takes seconds, and a client for it."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    MLflow(uri=uri, experiment="warm-up").open("warm-up", {}, tmp_path_factory.mktemp("run")).start()
    from mlflow import MlflowClient

    return uri, MlflowClient(uri)


def report(generation: int) -> GenerationReport:
    checkpoint = Checkpoint(f"model/g{generation}", f"/run/g{generation}", None, generation, f"hash{generation}", "t")
    score = Score(checkpoint.id, 10, 0.1 * generation, (0.0, 0.9), {1: 0.1 * generation, 4: 0.5}, {1: 0.1 * generation}, {"correct": generation}, 5)
    return GenerationReport(
        generation=generation,
        start=checkpoint,
        candidate=checkpoint,
        score=score,
        kept=checkpoint,
        kept_score=score,
        why="better",
        counts=GenerationCounts(sampled=8, verified=3, accepted=2, distinct=2, falsely_accepted=0, problems=2, most_samples=4, trained_on=2),
        outcomes={"correct": 2},
        drops={"too long": 1},
        seconds={Stage.SAMPLE: 1.5},
        tokens={Stage.SAMPLE: 80},
    )


def steps(first: int, last: int) -> list[TrainingStep]:
    return [TrainingStep(step, last, 1 / step, 1e-4, 10 * step) for step in range(first, last + 1)]


def ids(folder: Path) -> dict[str, str]:
    return json.loads((folder / "mlflow.json").read_text())


def children(client, folder: Path) -> dict[int, object]:
    runs = client.search_runs([ids(folder)["experiment_id"]], f"tags.`mlflow.parentRunId` = '{ids(folder)['run_id']}'")
    assert len({run.data.tags["generation"] for run in runs}) == len(runs)
    return {int(run.data.tags["generation"]): run for run in runs}


def points(client, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(point.step, round(point.value, 6)) for point in client.get_metric_history(run_id, key)]


def test_a_finished_run_shows_lines_on_the_parent_and_a_child_for_each_generation(store, tmp_path):
    uri, client = store
    mlflow = MLflow(uri=uri, experiment="finished")
    assert isinstance(mlflow, Tracker) and pickle.loads(pickle.dumps(mlflow)) == mlflow
    tracker = mlflow.open("workflow", SETTINGS, tmp_path)
    link = tracker.start()
    for generation in (0, 1, 2):
        tracker.log_training(generation, steps(1, 400) if generation else [])
        tracker.log_generation(report(generation), tmp_path)
    tracker.log_baseline("few shot", report(3).score)
    tracker.finish("FINISHED")

    parent = client.get_run(ids(tmp_path)["run_id"])
    assert f"/#/experiments/{parent.info.experiment_id}/runs?" in link and uri in link
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", f"workflow {tmp_path.name}")
    assert parent.data.params == {"base_model": "tiny", "generations": "2", "verifier": "Exact"}
    assert points(client, parent.info.run_id, "1_evaluation/pass_at_1") == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert points(client, parent.info.run_id, "drops/too_long") == [(0, 1), (1, 1), (2, 1)]
    assert parent.data.metrics["baseline/few_shot"] == pytest.approx(0.3)
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["workflow.json"]
    assert Path(client.download_artifacts(parent.info.run_id, "workflow.json")).read_text().startswith('{\n  "part": "Workflow"')

    generations = children(client, tmp_path)
    assert sorted(generations) == [0, 1, 2]
    second = generations[2]
    assert second.info.status == "FINISHED" and second.info.end_time >= second.info.start_time
    assert second.data.params == {"generation": "2", "base_model": "tiny", "verifier": "Exact"}
    assert second.data.tags.items() >= {"checkpoint": "model/g2", "path": "/run/g2", "weights_hash": "hash2", "kept": "model/g2"}.items()
    assert second.data.metrics.items() >= {"1_evaluation/pass_at_4": 0.5, "2_traces/accepted_share": 0.25, "5_seconds/sample": 1.5}.items()
    assert points(client, second.info.run_id, "0_training/loss") == [(step, round(1 / step, 6)) for step in range(1, 401)]
    assert {file.path for file in client.list_artifacts(second.info.run_id)} == {"report.json", "settings.json"}
    (output,) = second.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (model.status, model.params["path"]) == ("READY", "/run/g2")
    assert {metric.key: metric.value for metric in model.metrics}["1_evaluation/pass_at_1"] == pytest.approx(0.2)


def test_a_removed_checkpoint_is_told_on_the_page_and_on_its_version(store, tmp_path):
    uri, client = store
    reports = [report(0)]
    for generation in (1, 2):
        made = replace(report(generation).candidate, path=str(tmp_path / f"generation-0{generation}" / "checkpoint"))
        reports.append(replace(report(generation), candidate=made, kept=made))
    Path(reports[2].candidate.path).mkdir(parents=True)
    tracker = MLflow(uri=uri, experiment="removed").open("removed", SETTINGS, tmp_path)
    tracker.start()
    for one in reports:
        tracker.log_generation(one, tmp_path)
    # The weights were removed after they were logged, or before: MLflow has none of them.
    record = Removed(generation=1, after=2, when="2026-11-28 15:04", bytes=270_000_000, keep_checkpoints="champion")
    write_json(tmp_path / "generation-01" / "removed.json", record)
    for _ in range(2):
        tracker.log_figures("checkpoints", freed(retained(RunFolder(tmp_path), reports)), ())
    tracker.finish("FINISHED")
    parent = client.get_run(ids(tmp_path)["run_id"])
    assert points(client, parent.info.run_id, "checkpoints/freed_gb") == [(2, 0.27)]
    line = r"Checkpoints on disk: generation 2; removed: generation 1, 0.27 GB freed (keep_checkpoints=champion)."
    assert line in parent.data.tags["mlflow.note.content"].replace("\\", "")
    versions = client.search_model_versions(f"run_id = '{children(client, tmp_path)[1].info.run_id}'")
    assert [version.tags["weights"] for version in versions] == ["removed on 2026-11-28 15:04 UTC by keep_checkpoints=champion"]


def test_runs_of_several_seeds_are_nested_in_one_that_has_their_means(store, tmp_path):
    uri, client = store
    runs = [RunFolder(tmp_path / f"first-seed{seed}") for seed in (1, 2)]
    for run, name in zip(runs, ("it's one", None), strict=True):
        tracker = MLflow(uri=uri, experiment="seeds", group=name).open("first", SETTINGS, run.root)
        tracker.start()
        tracker.log_generation(report(0), run.root)
        tracker.finish("FINISHED")
        (run.root / "workflow.json").write_text(
            json.dumps({**SETTINGS, "name": "first", "answer_only_baseline": False, "delimiters": None, "seed": 1})
        )
    row = {"mean": 0.25, "low": 0.125, "high": 0.5, "smallest": 0.25, "largest": 0.25}
    found = {"name": "first", "runs": [{"seed": seed, "scores": {"base": 0.25, "champion": 0.25}, "generation": 0} for seed in (1, 2)]}
    found |= {"left_out": [], "measure": "evaluation", "problems": 10, "same_problems": True}
    found |= {"scores": {"base": row, "champion": row}, "gains": {"base": row}}
    seeds = MLflow(uri=uri, experiment="seeds", group="it's one")
    for _ in range(2):
        seeds.log_seeds(runs, found)

    experiment = ids(runs[0].root)["experiment_id"]
    (above,) = client.search_runs([experiment], "tags.level = 'group'")
    assert {client.get_run(ids(run.root)["run_id"]).data.tags["mlflow.parentRunId"] for run in runs} == {above.info.run_id}
    assert (above.info.status, above.info.run_name, above.data.tags["result"]) == ("FINISHED", "it's one", "pass@1 0.250 → 0.250, mean of 2 seeds")
    assert points(client, above.info.run_id, "seeds/champion_high") == [(0, 0.5)] and above.data.metrics["seeds_gain/base"] == 0.25
    assert "| base | 0.250 | 0.250 to 0.250 |" in above.data.tags["mlflow.note.content"] and "seed" not in above.data.params
    # A continued seed opens the run above it again, and an interrupted command says so.
    seeds.open("first", SETTINGS, runs[0].root).start()
    assert client.get_run(above.info.run_id).info.status == "RUNNING" and len(client.search_runs([experiment], "tags.level = 'group'")) == 1
    seeds.log_seeds(runs, None, "KILLED")
    assert client.get_run(above.info.run_id).info.status == "KILLED"


def test_a_continued_run_goes_on_under_the_same_ids_and_logs_nothing_twice(store, tmp_path):
    uri, client = store
    interrupted = MLflow(uri=uri, experiment="continued").open("continued", SETTINGS, tmp_path)
    interrupted.start()
    interrupted.log_generation(report(0), tmp_path)
    interrupted.log_generation(report(1), tmp_path)
    interrupted.log_baseline("few_shot", report(3).score)
    interrupted.log_training(2, steps(1, 3))
    interrupted.finish("KILLED")
    before, first = ids(tmp_path), children(client, tmp_path)
    assert client.get_run(before["run_id"]).info.status == "KILLED"
    assert [first[generation].info.status for generation in (0, 1, 2)] == ["FINISHED", "FINISHED", "KILLED"]

    continued = MLflow(uri=uri, experiment="continued").open("continued", {**SETTINGS, "generations": 3}, tmp_path)
    continued.start()
    assert client.get_run(before["run_id"]).info.status == "RUNNING"
    for generation in (0, 1):
        continued.log_generation(report(generation), tmp_path)
    continued.log_baseline("few_shot", report(3).score)
    continued.log_training(2, steps(1, 4))
    continued.log_generation(report(2), tmp_path)
    continued.log_generation(report(2), tmp_path)
    continued.finish("FINISHED")

    after = children(client, tmp_path)
    assert ids(tmp_path) == before
    assert {generation: run.info.run_id for generation, run in after.items()} == {g: run.info.run_id for g, run in first.items()}
    assert {run.info.status for run in after.values()} == {"FINISHED"}
    assert points(client, before["run_id"], "1_evaluation/pass_at_1") == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert points(client, before["run_id"], "baseline/few_shot") == [(0, 0.3)]
    assert points(client, after[2].info.run_id, "0_training/loss") == [(1, 1.0), (2, 0.5), (3, 0.333333), (4, 0.25)]
    assert len(client.search_logged_models([before["experiment_id"]])) == 3
    versions = [client.get_model_version(f"continued_{tmp_path.name}", str(number)) for number in (1, 2, 3)]
    assert [version.tags["checkpoint"] for version in versions] == ["model/g0", "model/g1", "model/g2"] and versions[2].aliases == ["champion"]


def test_a_generation_that_was_half_logged_when_the_process_died_is_logged_once(store, tmp_path):
    uri, client = store
    artifacts = Path(uri.removeprefix("sqlite:///")).parent / "mlflow-artifacts"
    died = MLflow(uri=uri, experiment="half-logged").open("workflow", SETTINGS, tmp_path)
    died.start()
    shutil.move(artifacts, artifacts.with_name("away"))
    artifacts.write_text("a file where the folder was: artifacts are refused, figures are not")
    died.log_generation(report(0), tmp_path)
    assert children(client, tmp_path)[0].info.status == "RUNNING"
    artifacts.unlink()
    shutil.move(artifacts.with_name("away"), artifacts)

    continued = MLflow(uri=uri, experiment="half-logged").open("workflow", SETTINGS, tmp_path)
    continued.start()
    continued.log_generation(report(0), tmp_path)
    child = children(client, tmp_path)[0]
    assert child.info.status == "FINISHED"
    assert (
        points(client, ids(tmp_path)["run_id"], "1_evaluation/pass_at_1") == points(client, child.info.run_id, "1_evaluation/pass_at_1") == [(0, 0.0)]
    )
    assert [file.path for file in client.list_artifacts(child.info.run_id)] == ["report.json", "settings.json"]
    assert len(client.search_logged_models([ids(tmp_path)["experiment_id"]])) == 1


def test_a_run_that_was_deleted_from_the_store_gets_a_new_one(store, tmp_path):
    uri, client = store
    MLflow(uri=uri, experiment="deleted").open("workflow", SETTINGS, tmp_path).start()
    before = ids(tmp_path)["run_id"]
    client.delete_run(before)
    MLflow(uri=uri, experiment="deleted").open("workflow", SETTINGS, tmp_path).start()
    assert ids(tmp_path)["run_id"] != before


def test_a_server_that_is_away_costs_seconds_and_one_warning(tmp_path, caplog):
    begin = time.monotonic()
    tracker = MLflow(uri="http://user:secret@127.0.0.1:9").open("workflow", SETTINGS, tmp_path)
    assert tracker.start() is None
    for first in range(1, 100):
        tracker.log_training(1, steps(first, first))
    tracker.finish("FAILED")
    assert time.monotonic() - begin < 30
    assert len([record for record in caplog.records if record.name.startswith("selfimprove")]) == 1
    assert "secret" not in caplog.text


def test_what_was_missed_in_an_outage_is_logged_when_the_store_is_back(store, tmp_path):
    uri, client = store
    file = Path(uri.removeprefix("sqlite:///"))
    tracker = MLflow(uri=uri, experiment="outage").open("workflow", SETTINGS, tmp_path)
    file.rename(file.with_suffix(".away"))
    file.mkdir()
    assert tracker.start() is None
    tracker.log_training(0, steps(1, 2))
    tracker.log_generation(report(0), tmp_path)
    file.rmdir()
    file.with_suffix(".away").rename(file)
    tracker.log_training(1, steps(1, 2))
    tracker.log_generation(report(1), tmp_path)
    tracker.finish("FINISHED")
    assert points(client, ids(tmp_path)["run_id"], "1_evaluation/pass_at_1") == [(0, 0.0), (1, 0.1)]
    assert points(client, children(client, tmp_path)[0].info.run_id, "0_training/loss") == [(1, 1.0), (2, 0.5)]
    assert client.get_run(ids(tmp_path)["run_id"]).info.status == "FINISHED"


def test_without_an_address_the_store_is_a_file_of_the_current_folder(tmp_path, monkeypatch):
    from selfimprove.tracking.mlflow_address import store_address

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert store_address(None) == f"sqlite:///{tmp_path}/runs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker")
    assert store_address(None) == "http://tracker"
    assert store_address("sqlite:///mine.db") == f"sqlite:///{tmp_path}/mine.db"
