"""The processes that train one model together: which rows of a step are whose, and what is added up over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class World:
    """One process of several, which are in torch's default process group; alone, it adds nothing up and sends nothing."""

    rank: int = 0
    size: int = 1

    def own(self, rows: Sequence[dict[str, list[int]]]) -> Sequence[dict[str, list[int]]]:
        """This process's rows of a step. Where there are fewer rows than processes: one without any loss, as every process has to take part."""
        return rows[self.rank :: self.size] or [{**rows[0], "labels": [-100] * len(rows[0]["labels"])}]

    def total(self, numbers: Tensor) -> Tensor:
        """The numbers of all processes, added up one by one."""
        if self.size > 1:
            import torch.distributed as dist

            numbers = numbers.clone()
            dist.all_reduce(numbers)
        return numbers

    def owners(self, weights: Sequence[Tensor]) -> list[int]:
        """Which process keeps the optimizer's state of each weight: the largest first, each to the one that has least so far."""
        load, owner = [0] * self.size, [0] * len(weights)
        for place in sorted(range(len(weights)), key=lambda place: -weights[place].numel()):
            owner[place] = load.index(min(load))
            load[owner[place]] += weights[place].numel()
        return owner

    def collect(self, tensors: Iterable[tuple[Tensor, int]]) -> None:
        """Add each tensor up over all processes, at its owner; what the others have of it afterwards means nothing."""
        if self.size > 1:
            import torch.distributed as dist

            _finish([dist.reduce(tensor, owner, async_op=True) for tensor, owner in tensors])

    def spread(self, tensors: Iterable[tuple[Tensor, int]]) -> None:
        """Give every process each tensor as its owner has it."""
        if self.size > 1:
            import torch.distributed as dist

            _finish([dist.broadcast(tensor, owner, async_op=True) for tensor, owner in tensors])


def _finish(works: Sequence[Any]) -> None:
    for work in works:
        work.wait()
