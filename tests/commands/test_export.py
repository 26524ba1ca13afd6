"""A run laid out for the hub: the model loads, the traces open, the cards are readable, and nothing private is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from published import ANSWER, CHAT, PRIVATE, SAID, THINKING
from toy import make_toy_model, toy_workflow

from selfimprove import InlineCluster, UserError, improve
from selfimprove.commands.hub_folders import export, public
from selfimprove.records import AcceptedTrace
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder


def test_transformers_loads_the_model_and_splits_its_answer(published: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(published / "model")
    model = AutoModelForCausalLM.from_pretrained(published / "model")
    prompt = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_tensors="pt")
    output = model.generate(**prompt, max_new_tokens=64, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(output, skip_special_tokens=True) == SAID
    parsed = tokenizer.parse_response(output.tolist(), prefix=prompt["input_ids"][0].tolist())
    assert parsed == {"role": "assistant", "thinking": THINKING, "content": ANSWER}


def test_datasets_opens_every_trace_with_its_verdict_and_the_rows_of_the_training(published: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    run = RunFolder(published.parent / "run")
    report = run.reports()[1]
    traces = load_dataset(str(published / "traces"), cache_dir=str(tmp_path))
    assert len(traces["train"]) == report.counts.sampled and len(traces["test"]) == 2 * 15
    assert sum(traces["train"]["accepted"]) == report.counts.accepted and not any(traces["test"]["accepted"])
    assert set(traces["train"]["problem_id"]).isdisjoint(traces["test"]["problem_id"])
    first = next(row for row in traces["train"] if row["outcome"] == "correct")
    assert first["reference"] == first["answer"] and first["thinking"].strip() and first["text"].startswith("<think>") and first["generation"] == 1

    rows = load_dataset(str(published / "traces"), "rows", cache_dir=str(tmp_path))["train"]
    trained = read_records(run.generation(1) / "rows.parquet", AcceptedTrace)
    assert [(row["prompt"], row["completion"]) for row in rows] == [(list(row.messages), row.completion) for row in trained]


def test_the_cards_hold_metadata_and_scores(published: Path) -> None:
    from huggingface_hub import DatasetCard, ModelCard

    report = RunFolder(published.parent / "run").reports()[1]
    card = ModelCard.load(published / "model" / "README.md")
    assert (card.data.license, card.data.library_name, card.data.base_model) == ("mit", "transformers", None)
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_type) == ("pass@1", round(report.score.pass_at_1, 4), "toy")
    low, high = report.score.interval
    assert f"| generation 1 (this model) | {report.score.pass_at_1:.3f} ({low:.2f}–{high:.2f}) |" in card.text
    assert "pass@1 on 15 evaluation problems (greedy)" in card.text and '"temperature": 0.8' in card.text

    card = DatasetCard.load(published / "traces" / "README.md")
    assert [config["config_name"] for config in card.data.configs] == ["traces", "rows"] and card.data.size_categories == "n<1K"
    assert f"| `traces` | `train` | {report.counts.sampled:,} |" in card.text


def test_nothing_private_is_exported(published: Path) -> None:
    files = [path for path in published.rglob("*") if path.is_file()]
    assert len(files) > 8
    for private in (PRIVATE, str(published.parent), "local_files_only", "is_local"):
        assert [path for path in files if private.encode() in path.read_bytes()] == [], private


@pytest.mark.parametrize(
    ("name", "value", "exported"),
    [
        ("base_model", "/home/someone/models/mine", "mine"),
        ("base_model", "../mine", "mine"),
        ("base_model", "owner/model", "owner/model"),
        ("url", "https://inside.example/v1", "…"),
        ("Authorization", "Bearer x", "…"),
        ("api_key", "x", "…"),
        ("hub_token", "x", "…"),
        ("max_tokens", 64, 64),
        ("engine", {"download_dir": "/data/cache", "dtypes": ["auto"]}, {"download_dir": "cache", "dtypes": ["auto"]}),
    ],
)
def test_settings_are_exported_without_paths_addresses_and_keys(name: str, value: object, exported: object) -> None:
    assert public({name: value}) == {name: exported}


def test_a_run_that_kept_only_its_base_model_is_refused(tmp_path: Path) -> None:
    class Refuses:
        def decide(self, champion: object, candidate: object) -> object:
            from selfimprove.records import Decision

            return Decision(False, "never")

    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.3), gate=Refuses(), generations=1, answer_only_baseline=False)
    improve(workflow, tmp_path / "run", InlineCluster)
    with pytest.raises(UserError, match="has kept only its base model so far"):
        export(RunFolder(tmp_path / "run"), tmp_path / "out")
    with pytest.raises(UserError, match="holds no run"):
        export(RunFolder(tmp_path / "nothing"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_empty_is_left_alone(published: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty; give a new folder"):
        export(RunFolder(published.parent / "run"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
