"""Which of the two ways of training a trainer takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from selfimprove.errors import UserError

Engine = Literal["auto", "small", "trl"]
"""`trl`: the trainer of TRL or transformers with its own optimizer, for any model. `small`: the same on weights in bfloat16 with float32 masters, in
one process; it is faster for small models on a CPU. `auto`: `small` without a GPU, unless the settings ask for what it cannot do; else `trl`."""


class _Part(Protocol):
    @property
    def engine(self) -> Engine: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


def require_even(part: _Part, gpus: int, nodes: int) -> None:
    """Check the workers of a trainer.

    Raises:
        ValueError: they cannot be spread evenly, or the engine trains in one process.
    """
    if gpus % nodes:
        raise ValueError(f"gpus={gpus} cannot be spread evenly over nodes={nodes}")
    if part.engine == "small" and gpus > 1:
        raise ValueError("engine='small' trains in one process: set engine='trl', or gpus=1")


def require_engine(part: _Part) -> None:
    """Refuse an optimizer for `small`.

    Raises:
        UserError: the options choose one.
    """
    if part.engine == "small" and "optim" in part.options:
        name = type(part).__name__
        raise UserError(f"{name}(engine='small') always trains with AdamW on float32 masters: remove `optim` from its options, or set engine='trl'")


def takes_small(part: _Part, unable: str | None = None) -> bool:
    """Whether `small` trains.

    Args:
        part: the trainer's settings.
        unable: why `small` cannot train this model, as in "does not train models of type mamba"; None if it can.

    Raises:
        UserError: it has to, and cannot.
    """
    if part.engine == "small" and unable is not None:
        raise UserError(f"{type(part).__name__}(engine='small') {unable}: set engine='trl'")
    if part.engine != "auto":
        return part.engine == "small"
    import torch

    return not torch.cuda.is_available() and unable is None and "optim" not in part.options and getattr(part, "gpus", 1) == 1
