"""Hashes of what a run writes, in a `SHA256SUMS` beside the files: what has changed since is noticed when it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from selfimprove.checkpoints.hashes import file_hash, new_hash, signature
from selfimprove.checkpoints.removed import GENERATION
from selfimprove.errors import UserError
from selfimprove.storage.complete import complete_or_absent

SUMS = "SHA256SUMS"
"""Name of the file, in the format of `sha256sum`: one line for each file, in the order of their names."""
LINE = re.compile(r"([0-9a-f]{64})  (.+)")


class Damaged(UserError):
    """A file is not what the run wrote."""


def keep_hash(file: Path, written: Path) -> None:
    """Record the hash of `written`, which is about to be renamed to `file`.

    Before the rename: a run that is killed in between writes the same file once more, whereas a file without a hash would stay without.
    """
    _record(file.parent, {file.name: new_hash(written)})


def keep_hashes(folder: Path) -> None:
    """Record the hashes of all files of a complete folder, such as a checkpoint, beside the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    _record(folder.parent, {path.relative_to(folder.parent).as_posix(): new_hash(path) for path in files}, instead_of=f"{folder.name}/")


def hashes(folder: Path) -> Mapping[str, str]:
    """The recorded hashes of a folder's files, by name; empty where none are recorded.

    Raises:
        Damaged: the record itself was changed.
    """
    try:
        return _parsed(signature(folder / SUMS))
    except FileNotFoundError:
        return {}


def require_unchanged(file: Path) -> None:
    """Compare a file with its recorded hash; nothing is known of a file without one.

    Raises:
        Damaged: the file has changed since it was written.
        OSError: the file cannot be read.
    """
    known = hashes(file.parent).get(file.name)
    if known and known != file_hash(file):
        raise Damaged(f"{file} has changed since it was written; {remedy(file)}")


def require_folder_unchanged(folder: Path) -> None:
    """Compare all files of a folder with the hashes that are recorded beside it.

    Raises:
        Damaged: a file has changed, is missing, or was added.
    """
    known = {name: value for name, value in hashes(folder.parent).items() if name.startswith(f"{folder.name}/")}
    for name, value in known.items():
        file = folder.parent / name
        if not file.is_file():
            raise Damaged(f"{file} is missing; {remedy(file)}")
        if file_hash(file) != value:
            raise Damaged(f"{file} has changed since it was written; {remedy(file)}")
    for file in sorted(folder.rglob("*")) if known else ():
        if file.is_file() and file.relative_to(folder.parent).as_posix() not in known:
            raise Damaged(f"{file} was added since the folder was written; remove it")


def remedy(file: Path) -> str:
    """How to go on without a file of a run."""
    for folder in file.parents:
        if (found := GENERATION.fullmatch(folder.name)) and int(found[1]):
            again = f"selfimprove fork {folder.parent} --from-generation {int(found[1])}"
            return f"restore it from a copy, or make its generation again: {again}"
    return "restore it from a copy, or start a new run"


def _record(folder: Path, new: dict[str, str], instead_of: str | None = None) -> None:
    known = hashes(folder)
    kept = {name: value for name, value in known.items() if instead_of is None or not name.startswith(instead_of)}
    if (now := kept | new) != known:
        with complete_or_absent(folder / SUMS) as half:
            half.write_text("".join(f"{now[name]}  {name}\n" for name in sorted(now)), encoding="utf-8")


@lru_cache(maxsize=1024)
def _parsed(file: tuple[str, int, int, int, int]) -> Mapping[str, str]:
    path = Path(file[0])
    try:
        lines = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError:
        lines = [None]
    if not lines or None in lines:
        raise Damaged(f"{path} does not hold hashes; restore it from a copy, or remove it to leave its folder unchecked")
    return {found[2]: found[1] for found in lines if found}
