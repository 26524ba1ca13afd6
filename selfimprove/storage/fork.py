"""A fork: a new run that shares the first generations of another."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.removed import Removed, listed, removed, told
from selfimprove.errors import UserError
from selfimprove.settings.paths import differences
from selfimprove.storage.complete import complete_or_absent
from selfimprove.storage.files import read_json
from selfimprove.storage.hashes import keep_hash, require_folder_unchanged, require_unchanged
from selfimprove.storage.manifest import SAMPLING, require_same
from selfimprove.storage.retention import needed
from selfimprove.storage.run_folder import RunFolder

SHARED = (
    "base_model",
    "chat_template",
    "problems",
    "eval_problems",
    "test_problems",
    "prompter",
    "first_prompter",
    "eval_sampling",
    "verifier",
    "contamination",
    "guards",
    "seed",
)
"""Settings that every generation depends on: if one of them changes, no generation can be shared."""


def fork(source: RunFolder, target: RunFolder, from_generation: int, settings: dict[str, Any], same_traces: bool = False) -> None:
    """Start `target` with the generations of `source` before `from_generation`. Files that are there already stay as they are.

    Files are hard links if both folders are on one disk, copies otherwise. Reports get the new paths of the checkpoints.

    Args:
        same_traces: Take over the traces of `from_generation` with their verdicts, too. The generation then refuses settings that would
            sample or verify others.

    Raises:
        UserError: those generations are not complete or damaged, the checkpoint to start from was removed, `settings` changes a setting that
            they depend on, or there are no traces to take over.
    """
    complete = [report.generation for report in source.reports()]
    if from_generation < 1 or from_generation - 1 not in complete:
        last = f"generations 0 to {complete[-1]} are complete" if complete else "no generation is complete"
        raise UserError(f"cannot fork {source} from generation {from_generation}: {last}")
    sampled = source.generation(from_generation) / SAMPLING
    if same_traces and not sampled.exists():
        raise UserError(f"generation {from_generation} of {source} has no traces to take over; leave out --same-traces")
    _require_weights(source, from_generation, settings)
    changed = [line for line in differences(source.settings(), settings) if _depended_on(line.split(":")[0])]
    changed += [f"rounds.{number}.problems" for number in range(1, from_generation) if _own(source.settings(), number) != _own(settings, number)]
    if changed:
        raise UserError(f"a fork shares generations that depend on {changed[0]}; start a new run instead")
    for number in range(1, from_generation):
        for folder in sorted(source.generation(number).rglob("checkpoint")):
            require_folder_unchanged(folder)
    target.claim(settings)
    if same_traces:
        # Before the traces: a fork that is killed in between leaves none that other settings could take for theirs.
        require_same(target.generation(from_generation) / SAMPLING, read_json(sampled, dict[str, str]))
    for file in chain(_shared_files(source, range(from_generation)), _traces(sampled.parent) if same_traces else ()):
        place = target.root / file.relative_to(source.root)
        if place.exists():
            continue
        require_unchanged(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.name == "report.json":
            with complete_or_absent(place) as half:
                half.write_text(_moved(file.read_text(), source.root, target.root))
                keep_hash(place, half)
        else:
            _share(file, place)


def _require_weights(source: RunFolder, from_generation: int, settings: dict[str, Any]) -> None:
    """Refuse a fork whose first own generation would start from weights that `keep_checkpoints` removed."""
    reports = source.reports()

    def missing(first: int) -> Removed | None:
        # The first generation that the student samples has no earlier champion, see `Workflow.lag`.
        overlap = settings.get("overlap", 0) if first > (2 if settings.get("teacher") else 1) else 0
        return next((found for one in needed(reports[:first], overlap) if (found := removed(Path(one.path)))), None)

    if gone := missing(from_generation):
        possible = [number for number in range(1, len(reports) + 1) if missing(number) is None]
        raise UserError(f"cannot fork {source} from generation {from_generation}: {told(gone)}; fork from generation {listed(possible, 'or')}")


def _depended_on(path: str) -> bool:
    """Whether every generation depends on the setting; the margin of a guard decides about later candidates alone, as the gate does, and the rate at
    which a level is passed decides about later draws."""
    first, *rest = path.split(".")
    return first in SHARED and not (first == "guards" and rest[1:] == ["margin"]) and path != "problems.advance_at"


def _own(settings: dict[str, Any], number: int) -> Any:
    """The source of a generation's own problems; None where its round has none."""
    rounds = settings.get("rounds") or []
    return rounds[number - 1].get("problems") if number <= len(rounds) else None


def _shared_files(source: RunFolder, generations: Sequence[int]) -> Iterator[Path]:
    """The files of these generations. A report comes after the other files of its generation, as it marks the generation as complete."""
    own = (source.root / "problems" / f"generation-{number:02d}.json" for number in generations)
    yield from (file for file in own if file.exists())
    folders = [source.baseline("few_shot"), *(source.generation(number) for number in generations)]
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        yield from sorted(files, key=lambda path: path.name == "report.json")


def _traces(folder: Path) -> Iterator[Path]:
    """The traces of a generation and their verdicts, with the hashes of both: none yet if it was stopped early."""
    for kind in ("traces", "verdicts"):
        yield from sorted((folder / kind).glob("[!.]*"))


def _share(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:
        with complete_or_absent(place) as half:
            shutil.copy2(file, half)


def _moved(report: str, old: Path, new: Path) -> str:
    def move(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: move(item) for key, item in value.items()}
        if isinstance(value, str) and Path(value).is_relative_to(old):
            return str(new / Path(value).relative_to(old))
        return value

    return json.dumps(move(json.loads(report)), indent=2, ensure_ascii=False) + "\n"
