"""Hands on the steps of a trainer of transformers or TRL while it trains.

Imports transformers: to be imported where training runs.
"""

from __future__ import annotations

from typing import Any

from transformers import PrinterCallback, TrainerCallback

from selfimprove.training.training_thread import OnStep


def watch(trainer: Any, on_step: OnStep) -> None:
    """Call `on_step` after each optimizer step, and stop the training when it says so. The trainer itself prints nothing."""
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_Steps(on_step))


class _Steps(TrainerCallback):  # type: ignore[misc]
    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float | None] | None = None, **_: Any) -> None:
        measured = {name: value for name, value in (logs or {}).items() if value is not None}
        # transformers' own trainer keeps its count of tokens in the state; TRL's trainers log it under this name.
        measured.setdefault("num_tokens", state.num_input_tokens_seen)
        # The last log of a training sums it up and belongs to no step.
        if "loss" in measured and not self._on_step(state.global_step, state.max_steps, measured):
            control.should_training_stop = True
