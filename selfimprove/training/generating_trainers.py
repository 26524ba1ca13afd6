"""TRL's trainers that generate, imported without vLLM.

TRL imports vLLM wherever it is installed. That takes seconds and hundreds of megabytes, and is not needed here: the training model itself generates.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["DistillationTrainer", "GRPOTrainer", "ending_at"]


@contextmanager
def hidden(package: str) -> Iterator[None]:
    """Make a package look as if it were not installed; one that is imported already stays visible."""
    if package in sys.modules:
        yield
        return
    # Python's documented way to block an import; `importlib.util.find_spec` returns None for it.
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


with hidden("vllm"):
    from trl import DistillationTrainer, GRPOTrainer


@contextmanager
def ending_at(token: int, model: Any) -> Iterator[None]:
    """Have a trainer that is made inside the block end each completion at this token too. The model's own settings stay as they are."""
    settings = model.generation_config
    before = settings.eos_token_id
    known = before if isinstance(before, list) else [] if before is None else [before]
    settings.eos_token_id = known if token in known else [*known, token]
    try:
        yield
    finally:
        settings.eos_token_id = before
