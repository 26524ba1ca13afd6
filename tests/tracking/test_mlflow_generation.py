"""What a run of toy parts leaves in a real MLflow store besides figures: datasets, models, tables and traces, each of them once."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from told import Told

from selfimprove.storage.files import read_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking.mlflow_models import Models

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(told: Told) -> SimpleNamespace:
    """The first run: a client, its folder, and the content of its mlflow.json."""
    from mlflow import MlflowClient

    client, folder = MlflowClient(told.uri), told.folders[0]
    ids = json.loads((folder / "mlflow.json").read_text())
    return SimpleNamespace(client=client, folder=folder, **ids)


def children(store: SimpleNamespace) -> dict[int, object]:
    runs = store.client.search_runs([store.experiment_id], f"tags.`mlflow.parentRunId` = '{store.run_id}'")
    return {int(run.data.params["generation"]): run for run in runs}


def traces(store: SimpleNamespace, run_id: str) -> list[object]:
    return list(store.client.search_traces(locations=[store.experiment_id], run_id=run_id, max_results=100))


def everything(store: SimpleNamespace) -> dict[str, object]:
    """Everything that must not change when the run is logged again."""
    runs = store.client.search_runs([store.experiment_id])
    return {
        "runs": sorted(run.info.run_id for run in runs),
        "points": {run.info.run_id: len(store.client.get_metric_history(run.info.run_id, "1_evaluation/pass_at_1")) for run in runs},
        "datasets": {run.info.run_id: len(run.inputs.dataset_inputs) for run in runs},
        "outputs": {run.info.run_id: len(run.outputs.model_outputs) for run in runs},
        "models": sorted(model.model_id for model in store.client.search_logged_models([store.experiment_id])),
        "versions": sorted((version.name, version.version, version.source) for version in store.client.search_model_versions()),
        "traces": {run.info.run_id: sorted((one.info.trace_id, len(one.data.spans)) for one in traces(store, run.info.run_id)) for run in runs},
        "alias": store.client.get_model_version_by_alias("toy_first", "champion").version,
    }


def test_every_checkpoint_is_a_version_that_says_where_it_comes_from(store: SimpleNamespace) -> None:
    reports, runs = RunFolder(store.folder).reports(), children(store)
    versions = {int(version.tags["generation"]): version for version in store.client.search_model_versions("name = 'toy_first'")}
    assert sorted(versions) == [0, 1, 2] and [versions[number].version for number in (0, 1, 2)] == [1, 2, 3]
    for number, version in versions.items():
        made = reports[number].candidate
        assert (version.source, version.run_id) == (made.path, runs[number].info.run_id)
        assert version.tags["weights_hash"] == made.weights_hash
    assert [versions[number].tags["parent_version"] for number in (0, 1, 2)] == ["none", "1", "1"]
    rows = read_json(store.folder / "generation-02" / "training.manifest.json", dict[str, str])["rows"]
    assert rows.startswith(versions[2].tags["rows_digest"])
    champion = store.client.get_model_version_by_alias("toy_first", "champion")
    assert champion.tags["checkpoint"] == reports[-1].kept.id


def test_the_champion_is_found_by_its_alias_and_its_weights_were_not_copied(store: SimpleNamespace) -> None:
    uri = store.client.get_model_version_download_uri("toy_first", store.client.get_model_version_by_alias("toy_first", "champion").version)
    assert Path(uri).resolve() == (store.folder / "champion").resolve()
    assert not list((store.folder.parent / "mlflow-artifacts").rglob("*.safetensors"))


def test_runs_of_one_workflow_have_different_names(store: SimpleNamespace, told: Told) -> None:
    second = json.loads((told.folders[1] / "mlflow.json").read_text())["run_id"]
    assert [store.client.get_run(run_id).info.run_name for run_id in (store.run_id, second)] == ["toy first", "toy second"]
    # Other tests log to this store too.
    owners = {model.name: model.tags["run"] for model in store.client.search_registered_models() if model.tags["run"] in (store.run_id, second)}
    assert owners == {"toy_first": store.run_id, "toy_second": second}


def test_a_run_whose_name_is_taken_has_a_registered_model_of_its_own(store: SimpleNamespace) -> None:
    other = Models(store.client, True, store.experiment_id, "0123456789", "toy first")
    assert other.registered == Models(store.client, True, store.experiment_id, "0123456789", "toy first").registered == "toy_first-01234567"
    store.client.delete_registered_model(other.registered)


def test_a_generation_has_its_datasets_with_the_digests_of_the_manifests(store: SimpleNamespace) -> None:
    runs = children(store)
    found = {(given.dataset.name, given.tags[0].value): given.dataset for given in runs[1].inputs.dataset_inputs}
    assert set(found) == {("rows", "train"), ("eval", "evaluation")}
    manifest = read_json(store.folder / "generation-01" / "training.manifest.json", dict[str, str])
    assert manifest["rows"].startswith(found["rows", "train"].digest)
    assert json.loads(found["rows", "train"].source) == {"uri": str(store.folder / "generation-01" / "rows.parquet")}
    evaluations = {given.dataset.digest for run in runs.values() for given in run.inputs.dataset_inputs if given.dataset.name == "eval"}
    assert len(evaluations) == 1, "all generations have the same evaluation"
    parent = store.client.get_run(store.run_id)
    assert sorted(given.dataset.name for given in parent.inputs.dataset_inputs) == ["eval", "rows", "rows"]


def test_a_generation_has_its_settings_and_its_accepted_traces_as_a_table(store: SimpleNamespace) -> None:
    run = children(store)[1]
    assert run.data.params.items() >= {"generation": "1", "sampling.temperature": "0.8", "trainer": "ToyTrainer", "selector": "KeepCorrect"}.items()
    settings = json.loads(Path(store.client.download_artifacts(run.info.run_id, "settings.json")).read_text())
    assert settings["first_prompter"]["exemplars"][0]["question"] == "What is 90 + 9?"
    table = json.loads(Path(store.client.download_artifacts(run.info.run_id, "accepted.json")).read_text())
    assert table["columns"] == ["problem", "question", "completion", "origin", "trace"]
    assert len(table["data"]) == RunFolder(store.folder).reports()[1].counts.accepted
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "accepted.json", "type": "table"}]


def test_a_draw_of_traces_belongs_to_the_run_and_to_the_model_that_wrote_them(store: SimpleNamespace) -> None:
    runs = children(store)
    drawn = traces(store, runs[2].info.run_id)
    assert len(drawn) == 6 and len(traces(store, store.run_id)) == 12
    (model,) = runs[1].outputs.model_outputs
    assert {one.info.trace_metadata["mlflow.modelId"] for one in drawn} == {model.model_id}, "generation 1 wrote what generation 2 learns from"
    right = next(one for one in drawn if one.info.tags["outcome"] == "correct")
    assert all((one.info.state == "OK") == (one.info.tags["outcome"] == "correct") for run in runs.values() for one in traces(store, run.info.run_id))
    assert {one.info.state for one in traces(store, store.run_id)} == {"OK", "ERROR"}
    assert [span.name for span in right.data.spans[1:]] == ["plan", "step", "revision", "verify"]
    assert right.data.spans[0].inputs["question"].startswith("What is")
    assert right.info.token_usage == {"input_tokens": 3, "output_tokens": 12, "total_tokens": 15}
    judged = {found.name: found.value for found in right.info.assessments}
    assert judged["correct"] is True and judged["accepted"] is True and judged["reference"] == right.data.spans[0].outputs["answer"]


def test_the_description_is_a_table_of_the_generations(store: SimpleNamespace) -> None:
    text = store.client.get_run(store.run_id).data.tags["mlflow.note.content"]
    reports = RunFolder(store.folder).reports()
    assert f"**{reports[0].score.pass_at_1:.3f} → {reports[-1].kept_score.pass_at_1:.3f}** by generation 2" in text
    result = store.client.get_run(store.run_id).data.tags["result"]
    assert result == f"pass@1 {reports[0].score.pass_at_1:.3f} → {reports[-1].kept_score.pass_at_1:.3f}"
    assert "`models:/toy_first@champion`" in text and "| few shot |" in text
    assert [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")][1:4] == ["| base", "| 1", "| 2"]


def test_a_run_that_is_logged_again_leaves_nothing_twice(store: SimpleNamespace, told: Told) -> None:
    before = everything(store)
    # As if the process had died before the last generation was complete.
    store.client.update_run(children(store)[2].info.run_id, "RUNNING")
    told.tell(0)
    assert everything(store) == before
    assert children(store)[2].info.status == "FINISHED"
