"""The result of one check of a workflow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    passed: bool
    detail: str
    warning: bool = False
    """Whether the run can go on, but is likely to bring less than it could."""
