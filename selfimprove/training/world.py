"""The processes that train one model together: how they divide the rows of a step and sum over processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class World:
    """One process of torch's default process group. A single process sums and sends nothing."""

    rank: int = 0
    size: int = 1

    def own(self, rows: Sequence[dict[str, list[int]]]) -> Sequence[dict[str, list[int]]]:
        """The rows of a step for this process. If there are too few for all, it gets a row without loss, since every process has to take part."""
        return rows[self.rank :: self.size] or [{**rows[0], "labels": [-100] * len(rows[0]["labels"])}]

    def total(self, numbers: Tensor) -> Tensor:
        """Elementwise sum over all processes."""
        if self.size > 1:
            import torch.distributed as dist

            numbers = numbers.clone()
            dist.all_reduce(numbers)
        return numbers

    def owners(self, weights: Sequence[Tensor]) -> list[int]:
        """The process that keeps the optimizer's state of each weight: largest first, each goes to the process with the least so far."""
        load, owner = [0] * self.size, [0] * len(weights)
        for place in sorted(range(len(weights)), key=lambda place: -weights[place].numel()):
            owner[place] = load.index(min(load))
            load[owner[place]] += weights[place].numel()
        return owner

    def collect(self, tensors: Iterable[tuple[Tensor, int]]) -> None:
        """Sum each tensor over all processes at its owner; its values elsewhere are then undefined."""
        if self.size > 1:
            import torch.distributed as dist

            _finish([dist.reduce(tensor, owner, async_op=True) for tensor, owner in tensors])

    def spread(self, tensors: Iterable[tuple[Tensor, int]]) -> None:
        """Send each tensor from its owner to every process."""
        if self.size > 1:
            import torch.distributed as dist

            _finish([dist.broadcast(tensor, owner, async_op=True) for tensor, owner in tensors])


def _finish(works: Sequence[Any]) -> None:
    for work in works:
        work.wait()
