"""What is left of a checkpoint that a run has removed: a record beside the folder that it was in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from selfimprove.errors import UserError
from selfimprove.records.ranges import Count

RECORD = "removed.json"
"""Name of the record."""
GENERATION = re.compile(r"generation-(\d+)")


@dataclass(frozen=True, slots=True)
class Removed:
    """The removal of a checkpoint by `Workflow.keep_checkpoints`."""

    generation: Count
    """The generation that trained it."""
    after: Count
    """The last generation that was complete."""
    when: str
    """Time in UTC: `2026-11-28 15:04`."""
    bytes: Count
    """Bytes that it freed. Files that are shared with a fork free nothing."""
    keep_checkpoints: str | int
    """The setting that removed it."""


_adapter = TypeAdapter(Removed)


def removed(folder: Path) -> Removed | None:
    """The removal of the checkpoint that was in this folder; None where the folder is there, or was not removed by a run.

    Raises:
        UserError: The record does not hold a removal.
    """
    file = folder.with_name(RECORD)
    if folder.is_dir() or not file.is_file():
        return None
    try:
        return _adapter.validate_json(file.read_bytes())
    except ValueError as error:
        raise UserError(f"{file} does not hold the removal of a checkpoint; restore it from a copy") from error


def require_not_removed(folder: Path) -> None:
    """Refuse the folder of a checkpoint that a run has removed.

    Raises:
        UserError: It was removed; the message says when, and which generations of the run have their weights.
    """
    if found := removed(folder):
        raise UserError(f"{told(found)}; {left(folder)}")


def own_bytes(folder: Path) -> int:
    """Bytes that are free once a folder is removed. Files that a fork shares have another name and free nothing; neither does a link to a folder."""
    if folder.is_symlink():
        return 0
    found = (path.lstat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(file.st_size for file in found if file.st_nlink == 1)


def told(found: Removed) -> str:
    """A removal in words."""
    return f"the weights of generation {found.generation} were removed on {found.when} UTC by keep_checkpoints={found.keep_checkpoints}"


def left(folder: Path) -> str:
    """In words, which generations of the run that this checkpoint was in have their weights."""
    run = next((place.parent for place in folder.parents if GENERATION.fullmatch(place.name)), None)
    there = [number for number in sorted(_generations(run)) if _has_weights(_generations(run)[number])] if run else []
    if not there:
        return "no generation has its weights, only the base model is left"
    return f"{run} has those of generation{'s' if there[1:] else ''} {listed(there)}"


def listed(numbers: list[int], last: str = "and") -> str:
    """Numbers in words: `1, 2 and 4`."""
    first = ", ".join(map(str, numbers[:-1]))
    return f"{first} {last} {numbers[-1]}" if first else str(numbers[-1])


def _generations(run: Path) -> dict[int, Path]:
    return {int(found[1]): folder for folder in run.iterdir() if (found := GENERATION.fullmatch(folder.name))} if run.is_dir() else {}


def _has_weights(generation: Path) -> bool:
    """Where pairs are trained on, `checkpoint` is what that training started from."""
    trained = [folder for folder in (generation / "preference", generation) if (folder / "checkpoint").is_dir() or (folder / RECORD).exists()]
    return bool(trained) and (trained[0] / "checkpoint").is_dir()
