"""What every worker of a training needs to know: how to make the model and the trainer. A job is pickled and sent to the workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self

from selfimprove.records import Checkpoint


class _Part(Protocol):
    @property
    def batch_size(self) -> int: ...
    @property
    def tokens_per_device(self) -> int | None: ...
    @property
    def activation_checkpointing(self) -> bool | None: ...


@dataclass(frozen=True, kw_only=True)
class Job(ABC):
    """One training with a trainer of TRL or transformers. Picklable: it holds no models."""

    start: str
    """The folder of the model that is trained; the checkpoint gets its tokenizer and chat template."""
    batch_size: int
    """Rows of one optimizer step, over all workers."""
    own: dict[str, Any]
    """The trainer's arguments that this training sets, over those that all share."""
    tokens: int | None
    """Most tokens in one forward and backward pass. None: as `tokens_at_once` has it."""
    activation_checkpointing: bool | None
    """Whether activations are computed twice to save memory. None: where a step would probably not fit otherwise."""
    seed: int

    figures: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Figures to keep of each step, besides loss, learning rate and tokens: names in `TrainingStep.figures`, with the trainer's names for them."""

    counts_on: ClassVar[bool] = False
    """Whether the trainer's count of tokens goes on after the training was continued, instead of beginning again."""

    @classmethod
    def of(cls, part: _Part, start: Checkpoint, own: dict[str, Any], seed: int, **rest: Any) -> Self:
        """The job of a trainer with these settings; `rest` are the fields of its own kind of job."""
        return cls(
            start=start.path,
            batch_size=part.batch_size,
            own=own,
            tokens=part.tokens_per_device,
            activation_checkpointing=part.activation_checkpointing,
            seed=seed,
            **rest,
        )

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
