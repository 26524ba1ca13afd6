import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest import LogCaptureFixture, MonkeyPatch, fixture, raises

from selfimprove.errors import UserError
from selfimprove.problems import HubDataset


@fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def folder_of(tmp_path: Path, rows: Sequence[Mapping[str, object]]) -> str:
    folder = tmp_path / "sums"
    folder.mkdir()
    (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return str(folder)


ROWS = [{"q": f"{number} + 1?", "a": number + 1, "level": number} for number in range(5)]


def test_a_local_folder_of_jsonl_is_a_data_set(tmp_path: Path) -> None:
    problems = HubDataset(folder_of(tmp_path, ROWS), question="q", answer="a", limit=3).load()
    assert [(problem.id, problem.question, problem.answer) for problem in problems] == [
        ("sums-0", "0 + 1?", "1"),
        ("sums-1", "1 + 1?", "2"),
        ("sums-2", "2 + 1?", "3"),
    ]
    assert problems[2].metadata == {"level": 2}


def test_a_local_folder_of_parquet_is_a_data_set(tmp_path: Path) -> None:
    from datasets import Dataset

    folder = tmp_path / "parquet"
    folder.mkdir()
    Dataset.from_list([dict(row) for row in ROWS]).to_parquet(folder / "test.parquet")
    assert len(HubDataset(str(folder), split="test", question="q", answer="a").load()) == 5


def test_a_repeated_question_is_left_out_and_counted(tmp_path: Path, caplog: LogCaptureFixture) -> None:
    name = folder_of(tmp_path, [*ROWS, {"q": "0  + 1?", "a": 1, "level": 0}])
    with caplog.at_level(logging.WARNING):
        assert len(HubDataset(name, question="q", answer="a").load()) == 5
    assert "left out 1 rows" in caplog.text


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    name = folder_of(tmp_path, ROWS)
    with raises(UserError, match="has no column 'question', only 'q', 'a', 'level'"):
        HubDataset(name).load()
    with raises(UserError, match=r"has no column 'levels', only .*; did you mean 'level'\?"):
        HubDataset(name, question="levels", answer="a").load()


def test_a_row_without_an_answer_is_named(tmp_path: Path) -> None:
    name = folder_of(tmp_path, [*ROWS, {"q": "what?", "a": None, "level": 0}])
    with raises(UserError, match="row 5: 'a' is empty"):
        HubDataset(name, question="q", answer="a").load()


def test_a_missing_data_set_or_split_is_named(tmp_path: Path) -> None:
    with raises(UserError, match=r"cannot load the data set .*/nowhere") as caught:
        HubDataset(str(tmp_path / "nowhere")).load()
    assert "\n" not in str(caught.value)
    with raises(UserError, match=r"cannot load the data set .*sums \(split evaluation\)"):
        HubDataset(folder_of(tmp_path, ROWS), split="evaluation", question="q", answer="a").load()


def test_a_pipe_in_a_folder_is_named_and_not_waited_for(tmp_path: Path) -> None:
    name = folder_of(tmp_path, ROWS)
    os.mkfifo(Path(name) / "more.jsonl")
    with raises(UserError, match=r"more\.jsonl is not a file; remove it"):
        HubDataset(name, question="q", answer="a").load()
    with raises(UserError, match="cannot load the data set a"):
        HubDataset("a\0b").load()


def test_a_row_with_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    name = folder_of(tmp_path, [*ROWS, {"q": "\ud800", "a": 1, "level": 0}])
    with raises(UserError, match="cannot load the data set"):
        HubDataset(name, question="q", answer="a").load()


def test_an_answer_that_is_no_finite_number_is_named(tmp_path: Path) -> None:
    from datasets import Dataset

    folder = tmp_path / "parquet"
    folder.mkdir()
    Dataset.from_list([{"question": "1 / 2?", "answer": 0.5}, {"question": "0 / 0?", "answer": float("nan")}]).to_parquet(folder / "train.parquet")
    with raises(UserError, match="row 1: 'answer' is nan, not a finite number"):
        HubDataset(str(folder)).load()
