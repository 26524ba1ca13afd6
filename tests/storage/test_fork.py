"""A fork shares the generations before it and makes the later ones again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy import make_toy_model

from selfimprove.__main__ import main
from selfimprove.storage.run_folder import RunFolder

WORKFLOW = """
from pathlib import Path
from toy import toy_workflow
workflow = toy_workflow(Path({model!r}), answer_only_baseline=False)
"""


@pytest.fixture
def run(tmp_path: Path, untracked: None) -> Path:
    """A finished run of two generations."""
    file = tmp_path / "toys.py"
    file.write_text(WORKFLOW.format(model=str(make_toy_model(tmp_path / "model", 0.2))))
    assert main(["run", str(file), "--inline", "--run-dir", str(tmp_path / "run"), "--set", "sampling.n=3"]) == 0
    return tmp_path / "run"


def test_a_fork_takes_over_the_generations_before_it_and_keeps_the_changes_of_its_source(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "logs" not in path.parts}
    command = ["fork", str(run), "--from-generation", "2", "--inline", "--set", "trainer.gain=0.001"]
    capfd.readouterr()
    assert main([*command, "--only-copy"]) == 0
    assert capfd.readouterr().out == f"{run}-fork-2 has what is before generation 2; the same command without --only-copy runs the rest\n"
    assert [report.generation for report in RunFolder(tmp_path / "run-fork-2").reports()] == [0, 1]
    assert main(command) == 0
    opening = f"fork of {run}: keeps what is before generation 2, runs generation 2 with trainer.gain: 0.02 → 0.001 in {run}-fork-2; "
    assert capfd.readouterr().out.startswith(opening)
    old, new = RunFolder(run), RunFolder(tmp_path / "run-fork-2")
    assert [report.generation for report in new.reports()] == [0, 1, 2]
    shared = "generation-01/traces/shard-00000.parquet"
    assert (new.root / shared).samefile(old.root / shared)
    assert new.reports()[1].candidate.path == str(new.root / "generation-01" / "checkpoint")
    assert new.reports()[1].score == old.reports()[1].score
    assert new.reports()[2].counts.sampled == 3 * 25
    settings = json.loads((new.root / "workflow.json").read_text())
    assert settings["sampling"]["n"] == 3 and settings["trainer"]["gain"] == 0.001
    assert new.reports()[2].candidate.weights_hash != old.reports()[2].candidate.weights_hash
    assert {path: path.read_bytes() for path in before} == before


def test_a_fork_outlives_its_source(run: Path, tmp_path: Path) -> None:
    import shutil

    assert main(["fork", str(run), "--from-generation", "2", "--inline", "--run-dir", str(tmp_path / "other")]) == 0
    shutil.rmtree(run)
    assert main(["fork", str(tmp_path / "other"), "--from-generation", "1", "--inline", "--run-dir", str(tmp_path / "third")]) == 0
    assert (tmp_path / "third" / "champion" / "config.json").exists()


def test_a_fork_with_the_same_traces_trains_on_them_and_samples_none(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["fork", str(run), "--from-generation", "2", "--same-traces", "--inline", "--set", "trainer.gain=0.001"]
    assert main(command) == 0
    told = capfd.readouterr().out
    assert f"keeps what is before generation 2 and its traces, runs generation 2 with trainer.gain: 0.02 → 0.001 in {run}-fork-2" in told
    assert "generation 2, sampling" not in told
    old, new = RunFolder(run), RunFolder(tmp_path / "run-fork-2")
    for file in ("traces/shard-00000.parquet", "verdicts/shard-00000.parquet"):
        assert (new.generation(2) / file).samefile(old.generation(2) / file)
    before, after = old.reports()[2], new.reports()[2]
    assert (after.counts, after.outcomes) == (before.counts, before.outcomes)
    assert after.candidate.weights_hash != before.candidate.weights_hash
    assert main(["fork", str(run), "--from-generation", "2", "--inline", "--set", "trainer.gain=0.001", "--run-dir", str(tmp_path / "sampled")]) == 0
    again = RunFolder(tmp_path / "sampled").reports()[2]
    assert (again.candidate.weights_hash, again.score) == (after.candidate.weights_hash, after.score)


def test_the_same_traces_do_not_serve_other_sampling(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fork", str(run), "--from-generation", "2", "--same-traces", "--inline"]
    assert main([*command, "--set", "sampling.n=2"]) == 2
    assert "generation-02 was made with different requests than this run has" in capsys.readouterr().err
    assert main([*command[:3], "3", *command[4:], "--set", "generations=3"]) == 2
    assert f"generation 3 of {run} has no traces to take over; leave out --same-traces" in capsys.readouterr().err


def test_a_fork_killed_while_it_takes_traces_over_leaves_none_to_other_settings(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from selfimprove.storage import fork

    def killed(file: Path, place: Path) -> None:
        if file.parent == run / "generation-02" / "verdicts":
            raise KeyboardInterrupt
        share(file, place)

    share, command = fork._share, ["fork", str(run), "--from-generation", "2", "--inline", "--set", "sampling.n=2"]
    with monkeypatch.context() as patch:
        patch.setattr(fork, "_share", killed)
        assert main([*command, "--same-traces", "--only-copy"]) == 130
    assert main(command) == 2
    assert "generation-02 was made with different requests than this run has" in capsys.readouterr().err


def test_a_generation_that_stopped_before_its_first_shard_has_no_traces_to_give(run: Path, tmp_path: Path) -> None:
    import shutil

    for kind in ("traces", "verdicts"):
        shutil.rmtree(run / "generation-02" / kind)
    assert main(["fork", str(run), "--from-generation", "2", "--same-traces", "--inline"]) == 0
    assert RunFolder(tmp_path / "run-fork-2").reports()[2].counts.sampled == 3 * 25


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from-generation", "9"], "cannot fork .* from generation 9: generations 0 to 2 are complete"),
        (["--from-generation", "0"], "from generation 0"),
        (["--from-generation", "1", "--set", "seed=7"], "a fork shares generations that depend on seed: 0 → 7; start a new run instead"),
        (["--from-generation", "1", "--set", "trainer.gian=1"], "no field 'gian'; did you mean gain"),
    ],
)
def test_a_fork_that_is_not_possible_is_refused(run: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    assert main(["fork", str(run), "--inline", *arguments]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert [path.name for path in run.parent.iterdir() if path.name.startswith("run-fork")] == []


def test_a_run_without_its_workflow_file_cannot_be_forked(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "workflow.py").unlink()
    assert main(["fork", str(run), "--from-generation", "1", "--inline"]) == 2
    assert "keeps no workflow.py" in capsys.readouterr().err
