"""Custom rounds that are killed continue where they stopped, and end with the files of an undisturbed round."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killable import files_of
from places import PYTHONPATH, WORKFLOWS
from toy import make_toy_model

TOY = """
from pathlib import Path
from killable import NotingSampler
from toy import toy_workflow
workflow = toy_workflow(Path({model!r}), sampler=NotingSampler(log={log!r}))
"""
ROUNDS = {
    "custom_round": (
        "from selfimprove import InlineCluster; import custom_round; custom_round.main(custom_round.WORKFLOW, 20, start_cluster=InlineCluster)",
        "runs/custom-round",
    ),
    "one_round_by_hand": (f"import runpy; runpy.run_path({str(WORKFLOWS / 'one_round_by_hand.py')!r})", "runs/one-round-by-hand"),
}


def started(code: str, folder: Path, model: Path, pause: float) -> subprocess.Popen[bytes]:
    """Start the round in a subprocess, with toy parts instead of the quickstart's."""
    folder.mkdir(exist_ok=True)
    (folder / "quickstart.py").write_text(TOY.format(model=str(model), log=str(folder / "asked.log")))
    path = os.pathsep.join((str(folder), PYTHONPATH, str(WORKFLOWS)))
    environment = {**os.environ, "PYTHONPATH": path, "PAUSE": str(pause)}
    return subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment, stdout=subprocess.DEVNULL)


def asked(folder: Path) -> list[str]:
    log = folder / "asked.log"
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("name", ROUNDS)
def test_a_round_that_is_killed_continues_and_ends_with_the_same_files(name: str, tmp_path: Path) -> None:
    code, place = ROUNDS[name]
    model = make_toy_model(tmp_path / "model", 0.2)
    assert started(code, tmp_path / "undisturbed", model, 0).wait(120) == 0

    broken = tmp_path / "broken"
    everything = len(asked(tmp_path / "undisturbed"))
    # Kills in the first stage, in a later one, and in the last evaluation.
    for share in (0.2, 0.6, 0.9):
        process = started(code, broken, model, 0.02)
        before = len(set(asked(broken)))
        while process.poll() is None and len(set(asked(broken))) < max(before + 1, share * everything):
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it was killed"
        process.kill()
        process.wait()
    left = asked(broken)
    assert started(code, broken, model, 0).wait(120) == 0
    assert files_of(broken / place) == files_of(tmp_path / "undisturbed" / place)
    # Stages that were complete at the last kill are not sampled again.
    stages = {request.split("/")[1] for request in left}
    assert len(stages) > 1 and {request.split("/")[1] for request in asked(broken)[len(left) :]} < stages | {"student-exam"}
