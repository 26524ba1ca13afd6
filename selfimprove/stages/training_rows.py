"""Training rows: what a generation trains on, from this generation's accepted traces, the earlier ones and instruction data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Checkpoint
from selfimprove.seeds import derive_seed
from selfimprove.selection.direct import is_direct, wanted_rows
from selfimprove.stages.collect import Collected
from selfimprove.stages.context import RunContext
from selfimprove.stages.draw import accepted_before
from selfimprove.stages.general import General, draw_general
from selfimprove.stages.obstacles import why_none
from selfimprove.stages.thinking_off import without_thinking
from selfimprove.stages.train import TOO_LONG, fitting
from selfimprove.storage.files import write_records


@dataclass(frozen=True)
class TrainingRows:
    """The rows of one training; none for a generation of reinforcement."""

    rows: Sequence[AcceptedTrace] = ()
    too_long: int = 0
    """Rows that were left out because they are too long for the trainer."""
    general: General = field(default_factory=General)

    @property
    def direct(self) -> int:
        """Rows without their thinking."""
        return sum(map(is_direct, self.rows))

    @property
    def drops(self) -> dict[str, int]:
        """Rows that were left out, by reason."""
        return {TOO_LONG: self.too_long} if self.too_long else {}


def training_rows(context: RunContext, start: Checkpoint, collected: Collected, folder: Path, number: int) -> TrainingRows:
    """The rows to train on: the mixture's that fit, some of them again without their thinking, and instruction data.

    Args:
        folder: The folder of the generation; gets `rows.parquet`.

    Raises:
        UserError: No trace has been accepted so far.
    """
    workflow, found = context.workflow, TrainingRows()
    if not workflow.reinforcement:
        mixed = _mixed(context, number, collected)
        fits = fitting(context, start, mixed, folder)
        direct = without_thinking(context, fits, wanted_rows(len(fits), workflow.direct_share), number)
        general = draw_general(context, start, [*fits, *direct], folder, number)
        found = TrainingRows([*fits, *direct, *general.rows], len(mixed) - len(fits), general)
    write_records(folder / "rows.parquet", found.rows, AcceptedTrace)
    return found


def _mixed(context: RunContext, number: int, collected: Collected) -> list[AcceptedTrace]:
    workflow, selection = context.workflow, collected.selection
    rows = workflow.mixture.rows([*accepted_before(context, number), selection.accepted], derive_seed(workflow.seed, number))
    if not rows:
        name = "teacher.sampling" if number == 1 and workflow.teacher and workflow.teacher.sampling else "sampling"
        raise UserError(f"generation {number}: no trace was accepted {why_none(collected.shards.read(), selection.drops, name)}")
    return rows
