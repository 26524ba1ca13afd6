import json
import os
from pathlib import Path
from typing import Any

import pytest

from selfimprove import UserError
from selfimprove.process_reward.human_labels import read_human_labels
from selfimprove.records import LabelledTrace
from selfimprove.storage.files import read_records, write_records


def completion(text: str, rating: int | None, flagged: bool | None = None) -> dict[str, Any]:
    return {"text": text, "rating": rating, "flagged": flagged}


def step(*completions: dict[str, Any], chosen: int | None = 0, human: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"completions": list(completions), "human_completion": human, "chosen_completion": chosen}


def solution(*steps: dict[str, Any], reason: str = "found_error") -> dict[str, Any]:
    return {
        "labeler": "340d",
        "generation": 9,
        "question": {"problem": "4 + 3 - 7 =", "ground_truth_answer": "0", "pre_generated_steps": ["4 + 3 = 7."]},
        "label": {"steps": list(steps), "total_time": 278270, "finish_reason": reason},
    }


def written(folder: Path, *rows: object) -> Path:
    file = folder / "phase2.jsonl"
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def test_the_chosen_path_is_one_trace_and_every_other_completion_ends_another(tmp_path: Path) -> None:
    steps = (step(completion("4 + 3 = 7.", 1)), step(completion("7 - 7 = 1.", -1), completion("7 is odd.", 0), chosen=None))
    wrong, neutral, chosen = read_human_labels(written(tmp_path, solution(*steps)))
    assert chosen.thoughts == ("\n4 + 3 = 7.\n",) and chosen.labels == (1.0,) and chosen.counts == (0,)
    assert wrong.thoughts == ("\n4 + 3 = 7.\n", "7 - 7 = 1.\n") and wrong.labels == (None, 0.0)
    assert neutral.thoughts[1] == "7 is odd.\n" and neutral.labels == (None, 1.0)
    assert {one.problem_id for one in (wrong, neutral, chosen)} == {chosen.problem_id} and chosen.prompt == "4 + 3 - 7 ="
    assert len({one.trace_id for one in (wrong, neutral, chosen)}) == 3


def test_the_label_of_a_neutral_step_is_a_setting(tmp_path: Path) -> None:
    file = written(tmp_path, solution(step(completion("Let me see.", 0))))
    assert read_human_labels(file)[0].labels == (1.0,)
    assert read_human_labels(file, neutral=0.5)[0].labels == (0.5,)
    with pytest.raises(UserError, match="between 0 and 1"):
        read_human_labels(file, neutral=2)


def test_a_step_written_by_a_person_is_right_and_an_undecidable_one_has_no_label(tmp_path: Path) -> None:
    own = step(completion("7 - 7 = 1.", -1), chosen=None, human=completion("7 - 7 = 0.", None))
    unsure, unrated = step(completion("So 0?", 1, flagged=True)), step(completion("0", None))
    *_, chosen = read_human_labels(written(tmp_path, solution(own, unsure, unrated, reason="solution")))
    assert chosen.thoughts == ("\n7 - 7 = 0.\n", "So 0?\n", "0\n") and chosen.labels == (1.0, None, None)


def test_labels_survive_a_round_trip_to_disk(tmp_path: Path) -> None:
    found = read_human_labels(written(tmp_path, solution(step(completion("a", 1)), step(completion("b", -1), chosen=None))))
    write_records(tmp_path / "labelled.parquet", found, LabelledTrace)
    assert read_records(tmp_path / "labelled.parquet", LabelledTrace) == found
    from pyarrow import parquet

    assert parquet.read_table(tmp_path / "labelled.parquet").column_names == ["trace_id", "problem_id", "prompt", "thoughts", "labels", "counts"]


GOOD = solution(step(completion("a", 1)))


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("{not json", "line 2: the line: Invalid JSON"),
        ('{"question": {"problem": "\\ud800"}}', "line 2: the line: Invalid JSON: it holds half of a surrogate pair"),
        ('{"question": {}, "question": {}}', "line 2: the line: Invalid JSON: the key 'question' is there twice"),
        ("[" * 900 + "]" * 900, "line 2: the line: Invalid JSON: it is nested more than 64 levels deep"),
        ("9" * 5000, "line 2: the line: Invalid JSON: a number of 5,000 digits is too long"),
        (solution(step(completion("a", True))), r"line 2: label.steps.0.completions.0.rating: .*Input should be -1, 0 or 1"),
        (solution(step(completion("a", 1), chosen=True)), r"line 2: label.steps.0.chosen_completion: Input should be a valid integer"),
        (solution(step(completion("a", 2))), r"line 2: label.steps.0.completions.0.rating: Input should be -1, 0 or 1"),
        (solution(step(completion(" ", 1))), r"line 2: label.steps.0.completions.0.text: String should match"),
        (solution(step(completion("a", 1), chosen=3)), "line 2: step 0 chooses completion 3 of 1"),
        (solution(step(completion("a", -1), chosen=None), step(completion("b", 1))), "line 2: step 0 has neither a chosen completion"),
        (solution(), r"line 2: label.steps: List should have at least 1 item"),
        ({"question": {"problem": "?"}}, "line 2: label: Field required"),
    ],
)
def test_a_line_in_another_format_is_named(tmp_path: Path, row: object, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as raised:
        read_human_labels(written(tmp_path, GOOD, row))
    assert "\n" not in str(raised.value) and "phase2.jsonl" in str(raised.value)


def test_a_file_without_a_solution_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no labelled solution"):
        read_human_labels(written(tmp_path, "", solution(step(completion("a", 1)), reason="bad_problem")))
    with pytest.raises(UserError, match="cannot be read"):
        read_human_labels(tmp_path / "absent.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(UserError, match="cannot be read: is a pipe, not a file"):
        read_human_labels(tmp_path / "pipe.jsonl")
    with pytest.raises(UserError, match="cannot be read: embedded null"):
        read_human_labels(Path("a\0b"))
