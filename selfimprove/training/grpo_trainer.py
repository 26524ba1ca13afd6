"""TRL's `GRPOTrainer` with a judge as its reward, and its rollouts counted.

Imports TRL: to be imported where training runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

# TRL imports vLLM where it is installed, which takes long, turns threads off, and is of no use here: rollouts are sampled without it.
with patch("trl.import_utils.is_vllm_available", lambda min_version=None: False):
    from trl import GRPOTrainer

from selfimprove.training.lean_loop import LeanLoop


class GroupTrainer(LeanLoop, GRPOTrainer):  # type: ignore[misc]
    """Takes rows of `prompt`, a chat, and `place`; `reward` is given places and output ids, and gives each a number, or None where it has none."""

    def __init__(self, *, reward: Callable[[list[int], list[list[int]]], list[float | None]], end: int, **rest: Any) -> None:
        """Takes over a float32 model; `end` is the token that ends a turn."""

        def verifier(*, place: list[int], completion_ids: list[list[int]], **_: Any) -> list[float | None]:
            return reward(place, completion_ids)

        super().__init__(reward_funcs=verifier, **rest)
        if end not in self.eos_token_ids:
            self.eos_token_ids.append(end)
            self.generation_config.eos_token_id = self.generation_kwargs["eos_token_id"] = self.eos_token_ids
