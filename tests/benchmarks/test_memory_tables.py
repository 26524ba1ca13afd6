"""The pages show the tables that `python -m benchmarks.memory` prints, and settings that use every GPU."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from places import ROOT

from benchmarks.memory import MACHINES, machine_table, main, sampling_table, training_table
from selfimprove.cluster.gpu_shares import divide
from selfimprove.workflow.files import load_workflow
from selfimprove.workflow.roles import roles

ONE, MANY = ((ROOT / "docs" / "how-to" / f"{page}.md").read_text() for page in ("one_gpu", "many_gpus"))


def test_the_pages_show_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    printed = capsys.readouterr().out
    for table in (training_table(), training_table(8), sampling_table()):
        assert table in printed and table in ONE
    assert machine_table() in printed and machine_table() in MANY


def test_other_gpus_get_other_settings(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--card", "24"])
    printed = capsys.readouterr().out
    assert "GPUs of 24 GB" in printed and machine_table() not in printed


def test_the_settings_of_the_table_use_every_gpu() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in machine_table().splitlines()[2:]]
    assert Counter(row[1] for row in rows) == {str(gpus): 7 for gpus in MACHINES}
    for _, gpus, sampler, _, trainer, *_ in rows:
        if found := re.search(r"copies=(\d)", sampler):
            size = re.search(r'"tensor_parallel_size": (\d)', sampler)
            assert int(found[1]) * int(size[1] if size else 1) == int(gpus)
        assert trainer == "—" or f"SFT(gpus={gpus}" in trainer


@pytest.mark.parametrize("gpus", MACHINES)
def test_the_settings_of_the_page_take_all_gpus_in_turns(gpus: int) -> None:
    settings = [f"sampler.resources.copies={gpus}", f"trainer.gpus={gpus}"]
    assert f"| {gpus} | `" + " ".join(f"--set {setting}" for setting in settings) + "` |" in MANY
    workflow, _ = load_workflow(ROOT / "workflows" / "quickstart.py", settings)
    shares = divide(roles(workflow), [float(gpus)])
    assert shares.in_turns == ("sampler", "trainer")
    assert {role: sum(held) for role, held in shares.largest().items()} == {"sampler": gpus, "trainer": gpus, "verifier": 0, "also-last-number": 0}
    assert gpus < 8 or f"`gpus: {shares.told()}`" in MANY


def test_half_of_the_gpus_each_work_side_by_side() -> None:
    settings = ["sampler.resources.copies=4", "trainer.gpus=4", "overlap=1"]
    assert " ".join(f"--set {setting}" for setting in settings) in MANY
    workflow, _ = load_workflow(ROOT / "workflows" / "quickstart.py", settings)
    assert divide(roles(workflow), [8.0]).in_turns == ()
