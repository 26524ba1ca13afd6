"""Keeps the replies of a server on disk, so that no question is paid for twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any


class KeptReplies:
    """One file for each reply. Several processes may share the folder: a reply is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, for this user alone."""
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def get(self, question: Any) -> str | None:
        """The reply to a question, which is JSON data; None where it was not asked."""
        try:
            found = json.loads(self._file(question).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, str) else None

    def put(self, question: Any, reply: str) -> None:
        """Keep a reply. A disk that is full loses it, and nothing else."""
        file = self._file(question)
        part = file.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            file.parent.mkdir(exist_ok=True)
            part.write_text(json.dumps(reply))
            part.replace(file)

    def _file(self, question: Any) -> Path:
        name = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
        return self._folder / name[:2] / f"{name[2:]}.json"
