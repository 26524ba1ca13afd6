"""Loading workflow files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from selfimprove import UserError
from selfimprove.workflow.files import load_workflow

FILE = """
from pathlib import Path
from toy import toy_workflow
workflow = toy_workflow(Path("model"), generations={generations})
"""


def test_a_file_that_changed_within_a_second_and_kept_its_size_is_reloaded(tmp_path: Path) -> None:
    file = tmp_path / "experiment.py"
    for generations in (3, 7):
        file.write_text(FILE.format(generations=generations))
        os.utime(file, (1e9, 1e9))
        assert load_workflow(file)[0].generations == generations
    assert list(tmp_path.iterdir()) == [file], "nothing is left beside the user's file"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("from selfimprove import Jsonll", "did you mean Jsonl?"),
        ("from selfimprove import *; KeepCorect()", "did you mean KeepCorrect?"),
        ("from selfimprove import *; Sampling(temprature=1)", "did you mean temperature?"),
        ("from selfimprove import *; Replay(per_problem=0)", "greater than 0"),
        ("from selfimprove.nowhere import Jsonl", "No module named"),
    ],
)
def test_the_error_for_a_misspelt_name_shows_the_line_and_the_nearest_name(tmp_path: Path, line: str, hint: str) -> None:
    (tmp_path / "wrong.py").write_text(f"\n{line}\n")
    with pytest.raises(UserError) as error:
        load_workflow(tmp_path / "wrong.py")
    assert "wrong.py, line 2: " in str(error.value) and hint in str(error.value)
    assert ("did you mean" in str(error.value)) == hint.startswith("did you mean")
