"""The fixed text that checkpoints are measured on, and the part that measures where a trainer does not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Reinforcer, Resources, Trainer, WorkerPart
from selfimprove.records import Checkpoint, Drift

SHIPPED = Path(__file__).with_name("drift.txt")
"""Prose, sums, code, dialogue, lists, tables and three other languages; a tokenizer makes some 2,000 to 4,000 tokens of it."""


@dataclass(frozen=True, config={"extra": "forbid"})
class DriftText:
    """Text on which the base model and every candidate are measured, each in one forward pass."""

    file: str | None = None
    """A file of UTF-8 text that nothing trains on; None for the text that comes with the package."""

    def read(self) -> tuple[str, str]:
        """The text, and the start of its SHA-256.

        Raises:
            UserError: The file cannot be read, is not UTF-8, or is empty.
        """
        file = Path(self.file) if self.file is not None else SHIPPED
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"cannot be read: {error.strerror}"
            raise UserError(f"the drift text {file} {why}; give another file, or set drift=None") from error
        if not text.strip():
            raise UserError(f"the drift text {file} is empty; give another file, or set drift=None")
        return text, hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, config={"extra": "forbid", "arbitrary_types_allowed": True})
class DriftReader(WorkerPart):
    """Measures drift in the place of a trainer that does not, or that trains in workers of its own, and reserves what one of these does."""

    trainer: Trainer | Reinforcer

    @property
    def resources(self) -> Resources:
        """One copy of the trainer's resources."""
        return replace(self.trainer.resources, copies=1)

    @property
    def devices(self) -> int:
        """One GPU, if the trainer uses any."""
        return min(1, self.trainer.devices)

    def environment(self) -> dict[str, str]:
        """That of the trainer."""
        return self.trainer.environment()

    def open(self) -> OpenDriftReader:
        """Load torch and transformers, which takes some seconds."""
        from selfimprove.training import drift  # noqa: F401

        return OpenDriftReader()


class OpenDriftReader:
    """A reader in its process. No model stays in memory between two calls."""

    def drift(self, base: Checkpoint, candidate: Checkpoint, text: str, text_hash: str) -> Iterator[int | Drift | str]:
        """As `training.drift.measure`."""
        from selfimprove.training.drift import measure

        return measure(base, candidate, text, text_hash)

    def close(self) -> None:
        """Nothing stays open between two calls."""
