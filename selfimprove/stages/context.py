"""What the stages of a run share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from selfimprove.protocols import Cluster, Progress, Tracker, Trainer
from selfimprove.records import (
    Checkpoint,
    Problem,
)
from selfimprove.selection.contamination import EvalIndex
from selfimprove.storage.run_folder import RunFolder
from selfimprove.workflow.workflow import Workflow


@dataclass(frozen=True)
class RunContext:
    """What stays the same through all generations of a run."""

    workflow: Workflow
    run: RunFolder
    cluster: Cluster
    tracker: Tracker
    progress: Progress
    base: Checkpoint
    problems: Sequence[Problem]
    eval_problems: Sequence[Problem]
    eval_index: EvalIndex | None
    """The held-out questions, to keep them out of what is trained on."""
    training: list[Trainer] = field(default_factory=list)
    """Whose turn it is to train."""
    predicted: Mapping[str, float] = field(default_factory=dict)
    """Solve rates of this generation's problems, by id, as far as they are predicted."""

    def of_generation(self, number: int) -> RunContext:
        """The run with what this generation does in its own way."""
        return replace(self, workflow=self.workflow.of_generation(number))

    def here(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same; the base model, which each machine keeps in a place of its own, where it is on this one."""
        return self.base if checkpoint.id == self.base.id and checkpoint.weights_hash == self.base.weights_hash else checkpoint

    def rates(self, problems: Sequence[Problem]) -> dict[str, float]:
        """The predicted solve rates of these problems."""
        return {problem.id: self.predicted[problem.id] for problem in problems if problem.id in self.predicted}
