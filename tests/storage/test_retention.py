"""Whatever the gate decides and whenever a run is killed: no checkpoint is missing that is needed, and none is missing without a record."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import ToyPreference, toy_workflow

from selfimprove import PreferencePairs, UserError
from selfimprove.checkpoints.removed import removed
from selfimprove.commands.disk_room import checkpoints_at_once
from selfimprove.records import Checkpoint, GenerationReport, Score
from selfimprove.storage import retention
from selfimprove.storage.retention import Keep, needed, remove_checkpoints, retained
from selfimprove.storage.run_folder import RunFolder

SCORE = Score("base", 4, 0.5, (0.1, 0.9), {1: 0.5}, {1: 0.5}, {"correct": 2}, 40)
OPERATIONS = ("write_json", "_rename", "_clear")


def base(root: Path) -> GenerationReport:
    model = Checkpoint("base", str(root.parent / "model"), None, 0, "w", "t")
    return GenerationReport(0, model, model, SCORE, model, SCORE, "the base model", {}, {}, {}, {})


def trained(run: RunFolder, reports: list[GenerationReport], promote: bool, pairs: bool = False) -> GenerationReport:
    """The report of the next generation, whose checkpoint is in its folder; with pairs, it was trained in two steps."""
    number, before = len(reports), reports[-1].kept
    folder = run.generation(number)
    for place in (folder, folder / "preference") if pairs else (folder,):
        (place / "checkpoint").mkdir(parents=True)
        (place / "checkpoint" / "model.safetensors").write_bytes(b"w" * 1000)
    made = Checkpoint(f"generation-{number}", str(place / "checkpoint"), None, number, "w", "t")
    return GenerationReport(number, before, made, SCORE, made if promote else before, SCORE, "", {}, {}, {}, {})


class Killed(BaseException):
    pass


def killing(monkeypatch: pytest.MonkeyPatch, after: int) -> Callable[[], int]:
    """Let the operations of a removal work until so many are done, then be killed before or after one; returns their number so far."""
    done = 0

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            nonlocal done
            if (done := done + 1) == after:
                raise Killed
            found = work(*given)
            if (done := done + 1) == after:
                raise Killed
            return found

        return call

    for name in OPERATIONS:
        monkeypatch.setattr(retention, name, counted(getattr(retention, name)))
    return lambda: done


@settings(max_examples=40)
@given(
    promoted=st.lists(st.booleans(), min_size=1, max_size=7),
    keep=st.sampled_from(["all", "champion", 1, 2, 3]),
    overlap=st.sampled_from([0, 1]),
    pairs=st.booleans(),
    kills=st.lists(st.integers(1, 12), max_size=4),
)
def test_no_needed_checkpoint_is_ever_missing(promoted: list[bool], keep: Keep, overlap: int, pairs: bool, kills: list[int]) -> None:
    with tempfile.TemporaryDirectory() as place:
        run = RunFolder(Path(place) / "run")
        rule = PreferencePairs(trainer=ToyPreference()) if pairs else None
        parts = {"preference_pairs": rule, "answer_only_baseline": False, "generations": len(promoted)}
        most = checkpoints_at_once(toy_workflow(run.root, keep_checkpoints=keep, overlap=overlap, **parts))
        reports, kills = [base(run.root)], kills.copy()

        def consistent() -> None:
            for one in needed(reports, overlap):
                assert one.generation == 0 or (Path(one.path) / "model.safetensors").exists()
            for report in reports[1:]:
                folder = Path(report.candidate.path)
                assert (folder / "model.safetensors").exists() or (removed(folder) and not folder.exists())

        def remove(ended: bool) -> None:
            while kills:
                with pytest.MonkeyPatch.context() as patch:
                    killing(patch, kills.pop())
                    try:
                        assert remove_checkpoints(run, reports, keep, overlap, ended) == []
                    except Killed:
                        consistent()
                        continue
                break
            assert remove_checkpoints(run, reports, keep, overlap, ended) == []
            consistent()

        for promote in promoted:
            reports.append(trained(run, reports, promote, pairs))
            assert len(list(run.root.rglob("checkpoint"))) <= most
            consistent()
            remove(ended=False)
            assert Path(reports[-1].candidate.path).is_dir()
        remove(ended=True)
        there = [report.generation for report in reports[1:] if Path(report.candidate.path).is_dir()]
        stay = {one.generation for one in needed(reports, overlap)} - {0}
        if keep == "all":
            assert there == list(range(1, len(reports)))
        else:
            stay |= set(range(len(reports) - keep, len(reports))) - {0} if keep != "champion" else set()
            assert there == sorted(number for number in stay if number > 0)
            assert not pairs or not list(run.root.glob("generation-*/checkpoint"))
        assert not list(run.root.rglob(".checkpoint*"))


def removing(tmp_path: Path, decisions: tuple[bool, ...] = (True, True, True)) -> tuple[RunFolder, list[GenerationReport]]:
    run = RunFolder(tmp_path / "run")
    reports = [base(run.root)]
    for promote in decisions:
        reports.append(trained(run, reports, promote))
    return run, reports


def test_what_was_removed_and_what_that_freed_is_told(tmp_path: Path) -> None:
    run, reports = removing(tmp_path)
    # A fork shares the files of generation 2.
    (tmp_path / "fork").hardlink_to(run.generation(2) / "checkpoint" / "model.safetensors")
    remove_checkpoints(run, reports[:3], "champion", 0)
    assert retained(run, reports[:3])["kept"] == [2]  # type: ignore[index]
    remove_checkpoints(run, reports, "champion", 0)
    found = retained(run, reports)
    assert found and found["kept"] == [3] and found["removed"] == [1, 2] and found["bytes"] == 1000
    assert [(one["generation"], one["after"], one["bytes"], one["keep_checkpoints"]) for one in found["removals"]] == [
        (1, 2, 1000, "champion"),
        (2, 3, 0, "champion"),
    ]
    assert retention.freed(found) == [({"removed": 1, "freed_gb": 1e-6}, 2), ({"removed": 2, "freed_gb": 1e-6}, 3)]
    assert found["told"] == "checkpoints on disk: generation 3; removed: generations 1 and 2, 1,000 bytes freed (keep_checkpoints=champion)"
    with pytest.raises(
        UserError,
        match=r"the weights of generation 1 were removed on 20..-..-.. ..:.. UTC by keep_checkpoints=champion; .*run has those of generation 3",
    ):
        run.require_intact(reports[1].candidate)
    assert (tmp_path / "fork").read_bytes() == b"w" * 1000


def test_what_a_link_leads_to_is_not_removed(tmp_path: Path) -> None:
    run, reports = removing(tmp_path)
    place = run.generation(1) / "checkpoint"
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    remove_checkpoints(run, reports, "champion", 0)
    assert not place.is_symlink() and (tmp_path / "elsewhere" / "model.safetensors").exists()


def test_a_removal_that_fails_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, reports = removing(tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        told = remove_checkpoints(run, reports, "champion", 0)
    assert len(told) == 2 and told[0] == f"checkpoints in {run.generation(1)} cannot be removed (Permission denied); the run goes on with less room"
    with monkeypatch.context() as patch:
        patch.setattr(retention, "write_json", refuse)
        # What was renamed is removed at the next call, whatever it was.
        assert remove_checkpoints(run, reports, "champion", 0) == []
    assert not list(run.root.rglob(".checkpoint*")) and (run.generation(3) / "checkpoint").is_dir()
    reports.append(trained(run, reports, True))
    with monkeypatch.context() as patch:
        patch.setattr(retention, "write_json", refuse)
        assert len(remove_checkpoints(run, reports, "champion", 0)) == 1
    assert (run.generation(3) / "checkpoint" / "model.safetensors").exists() and removed(run.generation(3) / "checkpoint") is None
