"""What the open trainers share: the same tokens as in sampling, and only rows that fit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from selfimprove.errors import UserError
from selfimprove.protocols import OpenTrainer
from selfimprove.records import AcceptedTrace, Checkpoint, Drift, Message, Trace
from selfimprove.training.agreement import require_agreement
from selfimprove.training.malloc import keep_freed_memory


class _Part(Protocol):
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def starts_workers(self) -> bool: ...


class _RowPart(_Part, Protocol):
    @property
    def max_length(self) -> int: ...


P = TypeVar("P", bound=_Part)
R = TypeVar("R", bound=_RowPart)


class TRLTrainer(OpenTrainer, Generic[P]):
    """A trainer in the process that trains. Nothing stays open between two trainings."""

    any_optimizer: ClassVar[bool] = False
    """Whether the options may choose the optimizer."""

    def __init__(self, part: P) -> None:
        """Prepare the process: from now on it keeps the memory that it frees.

        Raises:
            UserError: the options choose an optimizer, and may not.
        """
        if "optim" in part.options and not self.any_optimizer:
            raise UserError(f"{type(part).__name__} always trains with AdamW on float32 masters: remove `optim` from its options")
        keep_freed_memory()
        self._part = part

    def agreement(self, start: Checkpoint, rows: Sequence[tuple[AcceptedTrace, Trace]], asked: Sequence[tuple[Sequence[Message], Trace]]) -> int:
        """Compare completions and prompts token for token and return how many were compared.

        Raises:
            UserError: two differ.
        """
        return require_agreement(Path(start.path), rows, asked)

    def drift(self, base: Checkpoint, candidate: Checkpoint, text: str, text_hash: str) -> Iterator[int | Drift | str]:
        """As `training.drift.measure`; nothing where the GPUs are those of the workers that the trainer starts."""
        from selfimprove.training.drift import measure

        if not self._part.starts_workers:
            yield from measure(base, candidate, text, text_hash)


class RowTrainer(TRLTrainer[R]):
    """A trainer on rows of tokens. Rows longer than `max_length` are left out."""

    kind: ClassVar[str] = "rows"
    """What the rows are called in messages."""

    def fitting(self, start: Checkpoint, rows: Sequence[Any]) -> list[int]:
        """The places of the rows that fit into `max_length`, in order.

        Raises:
            UserError: none fits.
        """
        return [place for place, _ in self._examples(load_tokenizer(start), rows)]

    def _examples(self, tokenizer: Any, rows: Sequence[Any]) -> list[tuple[int, dict[str, Any]]]:
        """The rows that fit as tokens, each after its place among all rows."""
        examples = [self._example(tokenizer, row) for row in rows]
        fitting = [(place, example) for place, example in enumerate(examples) if self._length(example) <= self._part.max_length]
        if examples and not fitting:
            shortest = min(map(self._length, examples))
            raise UserError(
                f"all {len(examples)} {self.kind} are longer than max_length={self._part.max_length}; the shortest has {shortest} tokens: "
                f"raise max_length of {type(self._part).__name__}, or lower sampling.max_tokens"
            )
        return fitting

    @abstractmethod
    def _example(self, tokenizer: Any, row: Any) -> dict[str, Any]:
        """A row as tokens."""

    @abstractmethod
    def _length(self, example: dict[str, Any]) -> int:
        """Tokens of the row, prompt included."""


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """The tokenizer of a checkpoint."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(checkpoint.path, local_files_only=True)
