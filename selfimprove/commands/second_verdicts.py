"""Second verdicts on the stored traces: where two verifiers disagree, and what changes with a new one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfimprove.errors import UserError
from selfimprove.protocols import Cluster
from selfimprove.records import Outcome, Problem, Trace, Verdict
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import shards
from selfimprove.terminal.safe_text import plain_line, printable
from selfimprove.verification.pool import VerifierPool
from selfimprove.verification.stream import stream_verdicts

OUTCOMES = [outcome.value for outcome in Outcome]
SHOWN = 20
"""Maximum number of printed disagreements; `--json` prints all."""


def audit(run: RunFolder, pool: VerifierPool, cluster: Cluster) -> dict[str, Any]:
    """Verify every stored trace again, including those of evaluations; the run is not changed.

    Args:
        cluster: Opens the pool; left open.

    Returns:
        `{"first", "second": names and versions of the verifiers, "judged": number of traces, "agreement": share of equal outcomes, "confusion":
        {first outcome: {second outcome: traces}}, "stages": {stage: {"judged", "to_correct", "from_correct"}}, "disagreements": [{"stage",
        "trace_id", "question", "reference", "answer", "first", "second"}, …]}`; a stage is named `generation-02` or `generation-02 evaluation`.

    Raises:
        UserError: the folder holds no run or no trace, or the verifier does not load.
    """
    problems = run.problems_by_id("train", "eval", "test")
    confusion: Counter[tuple[str, str]] = Counter()
    stages: dict[str, dict[str, int]] = {}
    disagreements: list[dict[str, Any]] = []
    first = "none"
    for stage, traces, verdicts in _stored(run):
        counts = stages.setdefault(stage, {"judged": 0, "to_correct": 0, "from_correct": 0})
        verified = chain.from_iterable(stream_verdicts(pool, problems.values(), [traces], cluster))
        again = {item.trace.id: item.verdict for item in verified}
        for trace, old in zip(traces, verdicts, strict=True):
            new = again[trace.id]
            first = f"{old.verifier} {old.version}"
            confusion[old.outcome.value, new.outcome.value] += 1
            counts["judged"] += 1
            counts["to_correct"] += new.outcome is Outcome.CORRECT is not old.outcome
            counts["from_correct"] += old.outcome is Outcome.CORRECT is not new.outcome
            if old.outcome is not new.outcome:
                disagreements.append(_disagreement(stage, problems[trace.problem_id], old, new))
    judged = sum(confusion.values())
    if not judged:
        raise UserError(f"{run} holds no verified traces yet")
    return {
        "first": first,
        "second": f"{pool.verifier.name} {pool.verifier.version}",
        "judged": judged,
        "agreement": 1 - len(disagreements) / judged,
        "confusion": {old: {new: confusion[old, new] for new in OUTCOMES} for old in OUTCOMES},
        "stages": stages,
        "disagreements": disagreements,
    }


def _stored(run: RunFolder) -> Iterator[tuple[str, list[Trace], list[Verdict]]]:
    """The stage, traces and verdicts of each shard."""
    for place in sorted(folder.parent for folder in run.root.glob("**/verdicts")):
        for several in shards(place):
            yield _stage(place.relative_to(run.root)), [item.trace for item in several], [item.verdict for item in several]


def _stage(place: Path) -> str:
    return " ".join(part for part in place.parts if part != "baselines")


def _disagreement(stage: str, problem: Problem, old: Verdict, new: Verdict) -> dict[str, Any]:
    return {
        "stage": stage,
        "trace_id": old.trace_id,
        "question": problem.question,
        "reference": problem.answer,
        "answer": new.answer,
        "first": old.outcome.value,
        "second": new.outcome.value,
    }


def show_audit(found: dict[str, Any], console: Console) -> None:
    """Print the confusion table and the first disagreements."""
    table = Table(title=Text(plain_line(f"{found['first']} (rows) against {found['second']} (columns)")), box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("")
    for name in OUTCOMES:
        table.add_column(name, justify="right")
    for old in OUTCOMES:
        table.add_row(old, *(f"{found['confusion'][old][new]:,}" for new in OUTCOMES))
    console.print(table)
    console.print(f"{found['judged']:,} traces, {found['agreement']:.2%} with equal outcomes", highlight=False)
    for item in found["disagreements"][:SHOWN]:
        line = f"{item['trace_id']}: {item['first']} → {item['second']}: answer {item['answer']!r}, reference {item['reference']!r}"
        console.print(printable(line), highlight=False, soft_wrap=True)
    if len(found["disagreements"]) > SHOWN:
        console.print(f"… and {len(found['disagreements']) - SHOWN:,} more (--json prints all)", highlight=False)


def show_reverified(found: dict[str, Any], console: Console) -> None:
    """Print how many outcomes changed in each stage."""
    table = Table(title=Text(plain_line(f"{found['first']} → {found['second']}")), box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("stage", "verified", "to correct", "from correct"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage, counts in found["stages"].items():
        table.add_row(printable(stage), *(f"{counts[name]:,}" for name in ("judged", "to_correct", "from_correct")))
    console.print(table)
