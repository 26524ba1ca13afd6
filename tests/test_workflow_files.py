"""A workflow is read from its file as the file is now."""

from __future__ import annotations

import os
from pathlib import Path

from selfimprove.workflow_files import load_workflow

FILE = """
from pathlib import Path
from toy import toy_workflow
workflow = toy_workflow(Path("model"), generations={generations})
"""


def test_a_file_that_changed_within_a_second_and_kept_its_size_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "experiment.py"
    for generations in (3, 7):
        file.write_text(FILE.format(generations=generations))
        os.utime(file, (1e9, 1e9))
        assert load_workflow(file)[0].generations == generations
    assert list(tmp_path.iterdir()) == [file], "nothing is left beside the user's file"
