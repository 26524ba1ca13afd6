"""A run at a URL, from `improve` and from the commands: killed anywhere and continued elsewhere, it ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killable import sums_without
from toy import make_toy_model, toy_workflow

from selfimprove import AlwaysPromote, InlineCluster, UserError, Workflow, improve
from selfimprove.__main__ import main
from selfimprove.records import GenerationReport
from selfimprove.storage.open_run import reading, writing
from selfimprove.storage.remote import file_store
from selfimprove.storage.remote.file_store import FileStore
from selfimprove.storage.remote.snapshot import scan
from selfimprove.storage.retention import removals
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.verify import verify

TIMES = {"seconds.json", "report.json", "report.html", "mlflow.json", "removed.json"}
"""Files that contain times or paths."""
COPIES = ("write", "upload", "download", "remove_folder")
"""Methods before which a kill may come."""


class Killed(Exception):
    """The process is dead: nothing that it does from here on has any effect."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that moves to another machine: its disk is empty, and the other machines' disks are out of reach."""

    def go(name: str) -> Path:
        for cache in tmp_path.glob("machine-*"):
            shutil.rmtree(cache)
        monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / f"machine-{name}"))
        return tmp_path / f"machine-{name}"

    go("first")
    return go


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    return toy_workflow(make_toy_model(tmp_path / "model", 0.2))


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return f"memory://places/{request.node.name}"


def contents(run: RunFolder) -> dict[str, bytes]:
    files, links = scan(run.root, logs=False)
    kept = {name: (run.root / name).read_bytes() for name in files if Path(name).name not in {*TIMES, "SHA256SUMS"}}
    kept |= {name: sums_without(set(TIMES), run.root / name) for name in files if Path(name).name == "SHA256SUMS"}
    return kept | {name: target.encode() for name, target in links.items()}


def reports(run: RunFolder) -> list[GenerationReport]:
    """The reports without times and paths."""

    def bare(report: GenerationReport) -> GenerationReport:
        return replace(report, seconds={}, **{name: replace(getattr(report, name), path="") for name in ("start", "candidate", "kept")})

    return [bare(report) for report in run.reports()]


@pytest.fixture
def undisturbed(workflow: Workflow, tmp_path: Path) -> RunFolder:
    """A run that keeps its champion's checkpoint alone, in a local folder."""
    improve(replace(workflow, gate=AlwaysPromote(), keep_checkpoints="champion"), tmp_path / "undisturbed", InlineCluster)
    return RunFolder(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_run_killed_before_any_copy_continues_from_an_empty_disk_to_the_same_end(
    workflow: Workflow, undisturbed: RunFolder, url: str, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "PAUSES", ())
    workflow, done, limit = replace(workflow, gate=AlwaysPromote(), keep_checkpoints="champion"), [0], [10**9]

    def mortal(original: Callable[..., Any]) -> Callable[..., Any]:
        def copy(*arguments: Any, **named: Any) -> Any:
            done[0] += 1
            if done[0] > limit[0]:
                raise Killed
            return original(*arguments, **named)

        return copy

    for name in COPIES:
        monkeypatch.setattr(FileStore, name, mortal(getattr(FileStore, name)))
    improve(workflow, f"{url}/whole", InlineCluster)
    total = done[0]
    assert total > 40
    kills = [1, 2, 3, *range(4, total, total // 8)]
    for kill in kills:
        done[0], limit[0] = 0, kill
        machine(f"{kill}-killed")
        with pytest.raises(UserError, match="Killed"):
            improve(workflow, f"{url}/{kill}", InlineCluster)
        done[0], limit[0] = 0, 10**9
        machine(f"{kill}-next")
        improve(workflow, f"{url}/{kill}", InlineCluster)
        machine(f"{kill}-reader")
        found = reading(f"{url}/{kill}", checkpoints="all")
        assert contents(found) == contents(undisturbed), f"killed before copy {kill} of {total}"
        assert reports(found) == reports(undisturbed)


def test_a_continued_run_fetches_no_checkpoint_but_the_champion(workflow: Workflow, url: str, machine: Callable[[str], Path]) -> None:
    improve(workflow, url, InlineCluster)
    cache = machine("second")
    reading(url)
    assert not list(cache.rglob("*.safetensors"))
    champion = improve(replace(workflow, generations=3), url, InlineCluster)
    assert Path(champion.path).is_relative_to(cache) and Path(champion.path).is_dir()
    there = {path.parent.relative_to(next((cache / "runs").iterdir())).as_posix() for path in cache.rglob("*.safetensors")}
    assert there & {"generation-01/checkpoint", "generation-02/checkpoint"} == {"generation-02/checkpoint"}
    machine("third")
    run = reading(url, checkpoints="champion")
    assert (run.root / "champion").resolve() == Path(run.reports()[-1].kept.path) and (run.root / "champion" / "config.json").exists()
    assert len(list(run.root.glob("generation-*/checkpoint"))) == 1


def test_with_overlap_a_continued_run_also_fetches_the_champion_before(
    workflow: Workflow, url: str, machine: Callable[[str], Path], tmp_path: Path
) -> None:
    overlapped = replace(workflow, overlap=1, gate=AlwaysPromote())
    improve(replace(overlapped, generations=3), tmp_path / "undisturbed", InlineCluster)
    improve(replace(overlapped, generations=2), url, InlineCluster)
    machine("second")
    improve(replace(overlapped, generations=3), url, InlineCluster)
    machine("third")
    assert reports(reading(url))[3].counts == reports(RunFolder(tmp_path / "undisturbed"))[3].counts


@pytest.fixture
def command(tmp_path: Path, workflow: Workflow, untracked: None) -> list[str]:
    file = tmp_path / "toys.py"
    file.write_text(
        f"from pathlib import Path\nfrom toy import toy_workflow\nworkflow = toy_workflow(Path({workflow.base_model!r}), generations=1)\n"
    )
    return ["run", str(file), "--inline"]


def test_the_commands_take_a_url(
    command: list[str], url: str, machine: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--run-dir", url]) == 0
    assert f"run toy in {url}: 25 problems" in capfd.readouterr().out
    machine("second")
    for line in (["report", url], ["traces", url, "--limit", "1"], ["audit", url, "--with", "exact"]):
        assert main([*line, "--json"]) == 0
        assert json.loads(capfd.readouterr().out)
    assert main(["report", url, "--html", str(tmp_path / "page.html")]) == 0 and (tmp_path / "page.html").exists()
    machine("third")
    assert main(["fork", url, "--from-generation", "1", "--inline", "--set", "generations=2"]) == 0
    assert "lease.json" not in FileStore(f"{url}-fork-1").names() and [one.generation for one in reading(f"{url}-fork-1").reports()] == [0, 1, 2]
    capfd.readouterr()
    assert main(["report", f"{url}/nothing"]) == 2
    assert f"{url}/nothing holds no run: it has no workflow.json" in capfd.readouterr().err
    assert main([*command, "--run-dir", url, "--set", "seed=3"]) == 2
    assert f"{url} holds a run of another workflow: seed: 0 → 3; use another --run-dir" in capfd.readouterr().err
    assert main([*command, "--run-dir", "s33://bucket/first"]) == 2
    assert "did you mean s3://?" in capfd.readouterr().err


def test_two_runs_in_one_folder_are_refused(command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with writing(tmp_path / "run") as run:
        assert main([*command, "--run-dir", str(run.root)]) == 2
        line = capfd.readouterr().err
        assert line.startswith(f"selfimprove: {run.root} is being written by process {os.getpid()} on host ") and line.count("\n") == 1
    assert main([*command, "--run-dir", str(tmp_path / "run")]) == 0
    assert not (tmp_path / "run" / ".lock").exists()


def test_a_moved_run_continues_with_its_own_checkpoints(workflow: Workflow, tmp_path: Path) -> None:
    improve(workflow, tmp_path / "here", InlineCluster)
    (tmp_path / "here").rename(tmp_path / "there")
    champion = improve(replace(workflow, generations=3), tmp_path / "there", InlineCluster)
    assert Path(champion.path).is_relative_to(tmp_path / "there")
    assert [Path(report.kept.path).is_dir() for report in RunFolder(tmp_path / "there").reports()] == [True] * 4


def test_checkpoints_that_are_not_kept_go_at_the_url_too(workflow: Workflow, url: str, machine: Callable[[str], Path]) -> None:
    def weights() -> list[str]:
        """The weights of generations that are stored, whether the index names them or not."""
        files = FileStore(url)._files
        return sorted(name.rpartition("/generation-")[2][:2] for name in files.find(FileStore(url)._root) if re.search(r"/g.*/checkpoint/.*s$", name))

    workflow = replace(workflow, gate=AlwaysPromote(), answer_only_baseline=False, generations=3)
    improve(workflow, url, InlineCluster)
    assert weights() == ["01", "02", "03"]
    # Another machine has fetched the champion alone.
    machine("second")
    champion = improve(replace(workflow, keep_checkpoints=2), url, InlineCluster)
    assert weights() == ["02", "03"] and Path(champion.path).is_dir()
    assert [one.bytes > 100 for one in removals(reading(url))] == [True]
    machine("third")
    improve(replace(workflow, keep_checkpoints="champion", generations=4), url, InlineCluster)
    assert weights() == ["04"]
    machine("fourth")
    run = reading(url, checkpoints="all")
    assert verify(run)["differs"] == [] and [path.parent.name for path in run.root.glob("generation-*/checkpoint")] == ["generation-04"]


def test_a_store_that_removes_nothing_does_not_end_a_run(
    workflow: Workflow, url: str, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not allowed to delete")

    monkeypatch.setattr(FileStore, "remove_folder", refuse)
    improve(replace(workflow, gate=AlwaysPromote(), answer_only_baseline=False, keep_checkpoints="champion"), url, InlineCluster)
    assert "generation-01/checkpoint/ cannot be removed (OSError: not allowed to delete); the run goes on" in caplog.text
    machine("second")
    assert verify(reading(url, checkpoints="all"))["differs"] == []
