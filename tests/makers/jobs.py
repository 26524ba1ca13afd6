"""Trainings for tests of several workers; Ray's processes can import them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfimprove.training.trl.sft import SFTJob


@dataclass(frozen=True, kw_only=True)
class ShardedJob(SFTJob):
    """Sharded by FSDP2 on a CPU, where accelerate ignores it unless it takes the CPUs for another kind of device."""

    def arguments(self, shared: dict[str, Any], workers: int) -> Any:
        """With FSDP2 as on GPUs."""
        from accelerate.state import PartialState
        from accelerate.utils import DistributedType

        from selfimprove.training.trl.ray_worker import sharding

        arguments = super().arguments({**shared, **sharding()}, workers)
        assert arguments.device.type == "cpu"  # This makes the state.
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_XPU
        return arguments


@dataclass(frozen=True, kw_only=True)
class KilledJob(ShardedJob):
    """Its second worker is killed once, at step 5."""

    marker: str = ""
    """The file that says that it has happened."""

    def trainer(self, model: Any, arguments: Any) -> Any:
        """With a callback that kills."""
        from transformers import TrainerCallback

        marker = Path(self.marker)

        class Kill(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if args.process_index == 1 and state.global_step == 5 and not marker.exists():
                    marker.touch()
                    os.kill(os.getpid(), signal.SIGKILL)

        trainer = super().trainer(model, arguments)
        trainer.add_callback(Kill())
        return trainer
