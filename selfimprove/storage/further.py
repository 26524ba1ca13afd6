"""Where the verdicts of further verifiers on an evaluation are: `also/<verifier>/` in its folder, with a `score.json`."""

from __future__ import annotations

import re
from pathlib import Path

from selfimprove.records import FurtherScore
from selfimprove.storage.files import read_json

THINKING_OFF = "thinking-off"
"""Folder of a generation with its evaluation after an empty block of thinking."""


def further_name(verifier: str) -> str:
    """The name of a verifier's folder."""
    return re.sub(r"[^a-z0-9]+", "-", verifier.lower()).strip("-") or "verifier"


def further_folder(evaluation: Path, verifier: str) -> Path:
    """The folder of a verifier's verdicts on an evaluation."""
    return evaluation / "also" / further_name(verifier)


def further_scores(evaluation: Path) -> list[FurtherScore]:
    """The scores of an evaluation by its further verifiers; empty where it has none."""
    return [read_json(file, FurtherScore) for file in sorted(evaluation.glob("also/*/score.json"))]
