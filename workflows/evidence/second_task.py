"""A second task: the champion of `sums.py` learns `words.py`, and a guard watches what it still knows of sums.

A quarter of its rows are traces of sums, and the average of the candidate's weights with its start's stands beside it. A fork without those rows
compares on the same traces of words.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import noise
import sums
import words

from selfimprove import Guard, ReasoningGymScorer, Replay
from selfimprove.records import AcceptedTrace, Problem
from selfimprove.storage.files import read_records

BEFORE = "runs/evidence/sums-seed1"


@dataclass(frozen=True)
class TrainedOn:
    """The questions that a generation was trained on, with the traces that it learnt."""

    run: str
    generation: int = 1

    def load(self) -> list[Problem]:
        """A problem for each row."""
        rows = read_records(Path(self.run) / f"generation-{self.generation:02d}" / "rows.parquet", AcceptedTrace)
        return [Problem(row.trace_id, row.messages[-1]["content"], row.completion, self.run) for row in rows]


workflow = replace(
    words.workflow,
    name="second-task",
    base_model=f"{BEFORE}/champion",
    test_problems=None,
    # Sums without worked examples, which this model has learnt to answer.
    guards={"sums": Guard(problems=noise.Later(replace(sums.workflow.problems, size=900), 800), verifier=ReasoningGymScorer())},
    mixture=Replay(earlier=True, per_problem=1, general=TrainedOn(BEFORE), general_share=0.25),
    average=0.5,
    controls=(),
)
