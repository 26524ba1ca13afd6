"""The folder of a run: who may begin or continue one in it, and what is read back."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from selfimprove import UserError
from selfimprove.records import Checkpoint, GenerationReport, Problem, Score, Stage
from selfimprove.storage.files import write_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.stopwatch import Stopwatch

SETTINGS = {"name": "x", "base_model": "m", "answer_only_baseline": False, "seed": 0, "generations": 3}
SCORE = Score("base", 4, 0.5, (0.1, 0.9), {1: 0.5}, {1: 0.5}, {"correct": 2}, 40)


def report(folder: RunFolder, number: int) -> GenerationReport:
    base = Checkpoint(f"generation-{number}", str(folder.generation(number) / "checkpoint"), None, number, "w", "t")
    return GenerationReport(number, base, base, SCORE, base, SCORE, "why", {}, {}, {Stage.SAMPLE: 1.5}, {Stage.SAMPLE: 40})


def test_a_new_folder_is_claimed_and_the_same_settings_continue_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "deep" / "run")
    assert run.claim(SETTINGS) is False and run.claim(SETTINGS) is True
    assert run.settings() == SETTINGS and run.logs.is_dir()


def test_more_generations_continue_a_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.claim(SETTINGS)
    assert run.claim({**SETTINGS, "generations": 5}) is True
    assert run.settings()["generations"] == 5


def test_a_folder_that_holds_nothing_but_logs_is_free(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    assert RunFolder(tmp_path).claim(SETTINGS) is False


def test_another_workflow_is_refused_by_the_difference_and_nothing_is_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.claim(SETTINGS)
    for attempt in (run.claim, run.require_room_for):
        with pytest.raises(UserError, match=r"holds a run of another workflow: seed: 0 → 1 \(and 1 more\); use another --run-dir"):
            attempt({**SETTINGS, "seed": 1, "new": True})
    assert run.settings() == SETTINGS


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="is not empty and holds no run"):
        RunFolder(tmp_path).claim(SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_settings_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "workflow.json").write_text("{")
    for attempt in (RunFolder(tmp_path).settings, lambda: RunFolder(tmp_path).claim(SETTINGS)):
        with pytest.raises(UserError, match=r"workflow\.json is not valid JSON"):
            attempt()


def test_reports_come_in_the_order_of_their_generations_past_a_hundred(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for number in reversed(range(102)):
        write_json(run.generation(number) / "report.json", report(run, number))
    assert [found.generation for found in run.reports()] == list(range(102))
    assert run.reports()[9] == report(run, 9)


def test_a_report_that_is_missing_in_between_is_named(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for number in (0, 2):
        write_json(run.generation(number) / "report.json", report(run, number))
    with pytest.raises(UserError, match=r"generation-01/report\.json is missing, .*: selfimprove fork .* --from-generation 1"):
        run.reports()


def test_baselines_are_read_by_name_once_their_evaluation_is_complete(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (run.baseline("answer_only") / "evaluation").mkdir(parents=True)
    write_json(run.baseline("few_shot") / "evaluation" / "score.json", SCORE)
    assert run.baselines() == {"few_shot": SCORE}


def test_the_champion_is_a_link_that_moves_with_the_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    for number in (1, 2):
        (run.generation(number) / "checkpoint").mkdir(parents=True)
        run.set_champion(report(run, number).kept)
        assert (run.root / "champion").resolve() == run.generation(number) / "checkpoint"
    run.root.rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "champion").resolve() == tmp_path / "moved" / "generation-02" / "checkpoint"


def test_a_champion_outside_the_folder_is_linked_where_it_is(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.root.mkdir()
    (tmp_path / "model").mkdir()
    run.set_champion(replace(report(run, 1).kept, path=str(tmp_path / "model")))
    assert (run.root / "champion").resolve() == tmp_path / "model"


def test_problems_are_kept_as_json(tmp_path: Path) -> None:
    RunFolder(tmp_path).save_problems("train", [Problem("p", "1 + 1?", "2", "test", {"task": {"deep": [1]}})])
    kept = json.loads((tmp_path / "problems" / "train.json").read_text())
    assert kept == [{"id": "p", "question": "1 + 1?", "answer": "2", "source": "test", "metadata": {"task": {"deep": [1]}}}]


def test_a_stage_that_was_stopped_and_continued_counts_both_times(tmp_path: Path) -> None:
    file = tmp_path / "seconds.json"
    with pytest.raises(KeyboardInterrupt), Stopwatch(file).time(Stage.SAMPLE):
        time.sleep(0.02)
        raise KeyboardInterrupt
    continued = Stopwatch(file)
    assert continued.seconds[Stage.SAMPLE] >= 0.02
    with continued.time(Stage.SAMPLE):
        time.sleep(0.02)
    with continued.time(Stage.TRAIN):
        pass
    assert continued.seconds[Stage.SAMPLE] >= 0.04 and list(Stopwatch(file).seconds) == ["sample", "train"]
