"""Which checkpoints a run still needs, and the removal of the others."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeAlias

from selfimprove.checkpoints.removed import RECORD, Removed, listed, removed
from selfimprove.records import Checkpoint, GenerationReport
from selfimprove.storage.files import write_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.sizes import gigabytes

Keep: TypeAlias = Literal["champion", "all"] | int
"""As in `Workflow.keep_checkpoints`."""
HALF_REMOVED = ".checkpoint.removed"
"""Name of a checkpoint's folder while it is removed. Names with a dot are no part of a run."""


def needed(reports: Sequence[GenerationReport], overlap: int) -> list[Checkpoint]:
    """The checkpoints that the next generation may start from: the champion and, with `overlap`, the champion before it.

    `reports` are those of all complete generations.
    """
    return [report.kept for report in reports[-1 - overlap :]]


def remove_checkpoints(run: RunFolder, reports: Sequence[GenerationReport], keep: Keep, overlap: int, ended: bool = False) -> list[str]:
    """Remove the checkpoints of complete generations that a run neither needs nor is to keep. What another call has begun is finished.

    Removing one is a rename, after a record of it was written: at no moment is half a checkpoint there, or one missing without a record.

    Args:
        run: The folder of the run.
        reports: The reports of its complete generations.
        keep: The setting.
        overlap: As in `Workflow`.
        ended: Whether the run is complete. Before that the last generation's checkpoints stay, kept or refused: they go when the next is complete.

    Returns:
        A line for each generation whose checkpoints could not be removed.
    """
    last, failures = reports[-1].generation, list[str]()
    stays = {Path(one.path).resolve() for one in needed(reports, overlap)}
    recent = [report for report in reports if isinstance(keep, int) and report.generation > last - keep]
    stays |= {Path(made.path).resolve() for report in recent for made in (report.candidate, *(one.checkpoint for one in report.tried.values()))}
    for number in range(1, last + ended):
        folder = run.generation(number)
        try:
            # What an earlier call began.
            for half in [file.with_name(HALF_REMOVED) for file in folder.rglob(RECORD)]:
                _clear(half)
            for checkpoint, size in run.checkpoints(number).items() if keep != "all" else ():
                if checkpoint.resolve() not in stays:
                    _remove(checkpoint, Removed(number, last, time.strftime("%Y-%m-%d %H:%M", time.gmtime()), size, keep))
        except OSError as error:
            failures.append(f"checkpoints in {folder} cannot be removed ({error.strerror or error}); the run goes on with less room")
        for gone in [file.with_name("checkpoint") for file in folder.rglob(RECORD) if keep != "all"]:
            if not gone.exists() and gone.resolve() not in stays:
                run.forget(gone)
    return failures


def _remove(folder: Path, record: Removed) -> None:
    write_json(folder.with_name(RECORD), record)
    half = folder.with_name(HALF_REMOVED)
    _clear(half)
    _rename(folder, half)
    _clear(half)


def _rename(folder: Path, half: Path) -> None:
    # A checkpoint that is at a URL alone is not there.
    with suppress(FileNotFoundError):
        folder.rename(half)


def _clear(half: Path) -> None:
    # What a link leads to may be used elsewhere.
    if half.is_symlink():
        half.unlink()
    elif half.exists():
        shutil.rmtree(half)


def removals(run: RunFolder) -> list[Removed]:
    """The removals of checkpoints, by generation."""
    files = (file for number in run.generations() for file in sorted(run.generation(number).rglob(RECORD)))
    return [found for file in files if (found := removed(file.with_name("checkpoint")))]


def retained(run: RunFolder, reports: Sequence[GenerationReport]) -> dict[str, Any] | None:
    """What was removed, as JSON data; None where nothing was.

    Returns:
        `{"kept": generations whose candidates have their weights, "removed": the others, "removals": [{"generation", "after", "when", "bytes",
        "keep_checkpoints"}, …], "bytes": that were freed, "told": this in words}`.
    """
    found = removals(run)
    if not found:
        return None
    trained = [report for report in reports if report.generation]
    gone = [report.generation for report in trained if removed(Path(report.candidate.path))]
    kept, size = [report.generation for report in trained if report.generation not in gone], sum(one.bytes for one in found)
    told = f"checkpoints on disk: {_generations(kept)}; removed: {_generations(gone)}, {gigabytes(size)} freed"
    return {
        "kept": kept,
        "removed": gone,
        "removals": [asdict(one) for one in found],
        "bytes": size,
        "told": f"{told} (keep_checkpoints={found[-1].keep_checkpoints})",
    }


def _generations(numbers: list[int]) -> str:
    return f"generation{'s' if numbers[1:] else ''} {listed(numbers)}" if numbers else "no generation"


def freed(found: Mapping[str, Any]) -> list[tuple[dict[str, float], int]]:
    """Figures for trackers from what `retained` found: checkpoints removed so far and GB freed by them, after each generation that removed some."""
    steps = sorted({one["after"] for one in found["removals"]})
    until = ([one for one in found["removals"] if one["after"] <= step] for step in steps)
    return [({"removed": len(ones), "freed_gb": sum(one["bytes"] for one in ones) / 1e9}, step) for step, ones in zip(steps, until, strict=True)]
