"""Compares everything that a run recorded a hash of with what is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.hashes import file_hash
from selfimprove.checkpoints.removed import removed
from selfimprove.errors import UserError
from selfimprove.records import Stage
from selfimprove.records.ranges import Amount
from selfimprove.storage.files import read_json
from selfimprove.storage.hashes import SUMS, Damaged, hashes
from selfimprove.storage.run_folder import RunFolder

CHANGING = {"seconds.json", "workflow.json", "overrides.json", "mlflow.json"}
"""JSON files that a run writes again and again, and that have no hash."""
RECORDS = {".json", ".parquet"}


def verify(run: RunFolder) -> dict[str, Any]:
    """Read every file of a run that has a hash, and the files that have none but must have a form.

    Returns:
        `{"files", "bytes": how much agrees, "differs": [{"file": its path in the run, "how"}, …], "removed": folders of checkpoints that the run
        has removed}`. A removed checkpoint is no difference; one that was put back is compared.

    Raises:
        UserError: the folder holds no run, or a run without hashes.
    """
    differs = dict(_forms(run))
    files = size = records = 0
    gone: list[str] = []
    for folder, names in _folders(run.root):
        inside = folder.relative_to(run.root)
        try:
            known = hashes(folder)
        except Damaged:
            differs[str(inside / SUMS)] = "does not hold hashes"
            continue
        records += bool(known)
        if removed(folder / "checkpoint"):
            gone.append(str(inside / "checkpoint"))
            known = {name: value for name, value in known.items() if not name.startswith("checkpoint/")}
        for name, value in known.items():
            how = _difference(folder / name, value)
            if how:
                differs[str(inside / name)] = how
            else:
                files, size = files + 1, size + (folder / name).stat().st_size
        for name in _unlisted(folder, names, set(known)) if inside.parts else ():
            differs[str(inside / name)] = "has no recorded hash"
    if not records:
        raise UserError(f"{run} holds no {SUMS}: there is nothing to compare its files with")
    return {"files": files, "bytes": size, "differs": [{"file": name, "how": differs[name]} for name in sorted(differs)], "removed": gone}


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not (place == str(root) and name == "logs"))
        yield Path(place), names


def _difference(file: Path, value: str) -> str | None:
    try:
        return None if file_hash(file) == value else "has changed since it was written"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _unlisted(folder: Path, names: list[str], known: set[str]) -> Iterator[str]:
    """Records of a folder without a hash, and files that were added to its checkpoints."""
    above = next((parent for parent in folder.parents if (parent / SUMS).exists() and hashes(parent)), None)
    listed = {name for name in hashes(above) if "/" in name} if above else set()
    if above and any(name.startswith(f"{folder.relative_to(above).as_posix()}/") for name in listed):
        yield from (name for name in names if (folder / name).relative_to(above).as_posix() not in listed)
        return
    yield from (name for name in names if Path(name).suffix in RECORDS and name not in CHANGING | known and not name.startswith("."))


def _forms(run: RunFolder) -> Iterator[tuple[str, str]]:
    """What is wrong with the files that have no hash, by path."""
    run.settings()
    for file in (*sorted(run.root.rglob("seconds.json")), run.root / "overrides.json"):
        try:
            if file.exists():
                read_json(file, list[str] if file.name == "overrides.json" else dict[Stage, Amount])
        except UserError:
            yield str(file.relative_to(run.root)), "does not hold what a run writes there"
