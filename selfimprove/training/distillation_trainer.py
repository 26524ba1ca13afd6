"""TRL's `DistillationTrainer`, with its steps handed on.

Imports TRL: to be imported where training runs.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

# TRL imports vLLM where it is installed, which takes long, turns threads off, and is of no use here: completions are sampled without it.
with patch("trl.import_utils.is_vllm_available", lambda min_version=None: False):
    from trl import DistillationTrainer

from selfimprove.training.lean_loop import LeanLoop


class StudentTrainer(LeanLoop, DistillationTrainer):  # type: ignore[misc]
    """Takes rows of `prompt`, a chat."""

    def __init__(self, *, end: int, **rest: Any) -> None:
        """Takes over a float32 student; `end` is the token that ends a turn."""
        super().__init__(**rest)
        if end not in self.eos_token_ids:
            self.eos_token_ids.append(end)
            self.generation_config.eos_token_id = self.generation_kwargs["eos_token_id"] = self.eos_token_ids
