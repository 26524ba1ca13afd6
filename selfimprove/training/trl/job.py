"""What every worker of a training needs to know: how to make the model and the trainer. A job is pickled and sent to the workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any


class Job(ABC):
    """One training with a trainer of TRL or transformers. Picklable: a frozen dataclass without models."""

    start: str
    """The folder of the model that is trained; the checkpoint gets its tokenizer and chat template."""
    seed: int
    figures: Mapping[str, str] = MappingProxyType({})
    """Figures to keep of each step, besides loss, learning rate and tokens: names in `TrainingStep.figures`, with the trainer's names for them."""

    counts_on: bool = False
    """Whether the trainer's count of tokens goes on after the training was continued, instead of beginning again."""

    @abstractmethod
    def arguments(self, shared: dict[str, Any], workers: int) -> Any:
        """The trainer's arguments: `shared`, and over them the job's own.

        Args:
            shared: what all jobs on these workers have in common; see `selfimprove.training.trl.arguments`.
            workers: workers that train together. Each has the batch that `per_device_train_batch_size` says.
        """

    @abstractmethod
    def load(self, empty: bool = False) -> Any:
        """The model before the first step, in main memory. With `empty` its weights have no values yet."""

    @abstractmethod
    def trainer(self, model: Any, arguments: Any) -> Any:
        """The trainer, as the library has it: what differs goes into arguments, collator and callbacks."""

    def finish(self, model: Any) -> Any:
        """The model to save, made from the whole trained one: adapters are merged into the weights."""
        return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model

    @property
    def folder(self) -> Path:
        """`start` as a path."""
        return Path(self.start)
