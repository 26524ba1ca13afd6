"""Divides the GPUs of a cluster among the parts of a workflow: who reserves how much, and who takes turns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from selfimprove.errors import UserError
from selfimprove.protocols import Reinforcer, WorkerPart

Roles = Mapping[str, Sequence[WorkerPart]]
"""The parts that may be opened in each role. A role holds one part at a time."""

SAMPLER = "sampler"
"""The role that stays open while the others take turns beside it."""
HALF = 0.5
"""What two parts reserve that hand one GPU over to each other."""


@dataclass(frozen=True)
class GPUShares:
    """What each part reserves. `divide` makes one for a workflow; without, every part has whole GPUs."""

    nodes: tuple[float, ...]
    """GPUs of each node that has any."""
    roles: Roles = field(default_factory=dict)
    halves: bool = False
    """Whether a part that needs one GPU reserves half of it."""
    in_turns: tuple[str, ...] = ()
    """Roles of which one at a time is open, since together they need more than there is."""

    def of(self, part: WorkerPart) -> float:
        """GPUs that the process of each copy reserves."""
        if part.starts_workers:
            return 0.0
        if part.resources.gpus is not None:
            return part.resources.gpus
        if not self.nodes:
            return 0.0
        return HALF if self.halves and part.devices == part.resources.copies == 1 else float(part.devices)

    def held(self, part: WorkerPart) -> list[float]:
        """GPUs of each of its processes, for as long as the part is open. Those of one process are on one node."""
        return [self.of(part)] * part.resources.copies if self.of(part) else []

    def needed(self, part: WorkerPart) -> list[float]:
        """GPUs of each process that works for the part at once, those included that it starts itself."""
        if not part.starts_workers:
            return self.held(part)
        each = part.resources.gpus if part.resources.gpus is not None else float(bool(self.nodes))
        return [each] * part.devices if each else []

    def fit(self, processes: Iterable[Sequence[float]]) -> bool:
        """Whether the nodes hold the processes of several parts at once, given the GPUs of each and started in this order."""
        free = list(self.nodes)
        for each in processes:
            for gpus in each:
                room = [place for place, left in enumerate(free) if left >= gpus]
                if not room:
                    return False
                # Ray spreads copies over the nodes and packs everything else.
                free[(max if len(each) > 1 else min)(room, key=free.__getitem__)] -= gpus
        return True

    def told(self) -> str:
        """The shares in one line, such as `sampler 1/2 GPU, trainer 1/2 GPU, verifier none`."""
        if not self.nodes:
            return "none: everything runs on CPUs"
        line = ", ".join(f"{role} {_amount(processes)}" for role, processes in self.largest().items())
        return f"{line}; {', '.join(self.in_turns)} in turns" if self.in_turns else line

    def largest(self) -> dict[str, list[float]]:
        """What the part of each role needs that needs most."""
        return {role: max(map(self.needed, parts), key=lambda each: (sum(each), max(each, default=0))) for role, parts in self.roles.items() if parts}

    def require_room(self, role: str, part: WorkerPart) -> None:
        """Refuse a part that the cluster can never hold: it would wait for ever. `SELFIMPROVE_AUTOSCALE` allows for nodes that start on demand.

        Raises:
            UserError: names the part, what it needs, and what there is.
        """
        needed = self.needed(part)
        if self.fit([needed]) or nodes_on_demand():
            return
        there = f"the cluster has {sum(self.nodes):g}"
        if len(self.nodes) > 1:
            there += f", at most {max(self.nodes):g} on one node"
        if max(needed) > 1 and not part.starts_workers:
            there += ", and each process needs its GPUs on one node"
        raise UserError(
            f"the {role} needs {_amount(needed)}, but {there}; lower its resources, tensor_parallel_size or number of processes, "
            "or set SELFIMPROVE_AUTOSCALE=1 if nodes are started on demand"
        )


def divide(roles: Roles, nodes: Iterable[float]) -> GPUShares:
    """The shares of all parts of a workflow on nodes with these numbers of GPUs.

    With enough GPUs, every part has its own. With fewer, the sampler stays open and the others take turns beside it: on GPUs of their own, or each on
    the other half of the sampler's only GPU. If even two together need too much, all take turns. An explicit `resources.gpus` is kept.

    Raises:
        UserError: the cluster can never hold one of the parts.
    """
    have = tuple(gpus for gpus in nodes if gpus)
    for shares in (GPUShares(have, roles), GPUShares(have, roles, halves=True)):
        computing = {role: processes for role, processes in shares.largest().items() if processes}
        sampler, others = computing.pop(SAMPLER, []), computing
        if shares.fit([sampler, *others.values()]):
            return shares
        if others and all(shares.fit([sampler, other]) for other in others.values()):
            return replace(shares, in_turns=tuple(others))
    whole = GPUShares(have, roles)
    if nodes_on_demand():
        return whole
    for role, parts in roles.items():
        for part in parts:
            whole.require_room(role, part)
    in_turns = tuple(role for role, processes in whole.largest().items() if processes)
    asking = next((part for parts in roles.values() for part in parts if isinstance(part, Reinforcer) and part.needs_rollouts), None)
    if asking and SAMPLER in in_turns:
        raise UserError(
            f"{type(asking).__name__} learns from rollouts of the sampler, so both need GPUs at once, but together they need more than the "
            f'{sum(have):g} that there are: lower the resources of one, or set {type(asking).__name__}(rollouts="trainer")'
        )
    return replace(whole, in_turns=in_turns)


def nodes_on_demand() -> bool:
    """Whether the user has said that the cluster starts nodes when work waits."""
    return bool(os.environ.get("SELFIMPROVE_AUTOSCALE"))


def _amount(processes: Sequence[float]) -> str:
    if not processes:
        return "none"
    gpus = {HALF: "1/2 GPU", 1.0: "1 GPU"}.get(processes[0], f"{processes[0]:g} GPUs")
    return f"{len(processes)} x {gpus}" if len(processes) > 1 else gpus
