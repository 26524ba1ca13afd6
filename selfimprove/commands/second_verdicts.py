"""Second verdicts on the stored traces: where two verifiers disagree, and what changes with a new one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfimprove.errors import UserError
from selfimprove.evaluation.agreement import Agreement, agreement
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


def audit(
    run: RunFolder, pool: VerifierPool | None, cluster: Cluster, labels: Mapping[str, bool] | None = None, sample: int | None = None
) -> dict[str, Any]:
    """Verify the stored traces again, including those of evaluations and without those of guards; the run is not changed.

    Args:
        pool: The second verifier; None for the stored verdicts themselves.
        cluster: Opens the pool; left open.
        labels: Whether a trace is correct, by its id: the first verdicts, in place of the stored ones. Only labelled traces are compared.
        sample: Number of traces to compare, drawn at random; None for all.

    Returns:
        `{"first", "second": names and versions of the verifiers, "judged": number of traces, "agreement": share of equal outcomes, "accepted": what
        each of the two accepts, as `Agreement`, "confusion": {first outcome: {second outcome: traces}}, "stages": {stage: {"judged", "to_correct",
        "from_correct"}}, "disagreements": [{"stage", "trace_id", "question", "reference", "answer", "first", "second"}, …]}`; a stage is named
        `generation-02` or `generation-02 evaluation`.

    Raises:
        UserError: the folder holds no run or no trace, a label is of none of its traces, or the verifier does not load.
    """
    chosen = _chosen(run, labels, sample)
    problems = run.problems_by_id("train", "eval", "test")
    confusion: Counter[tuple[str, str]] = Counter()
    stages: dict[str, dict[str, int]] = {}
    disagreements: list[dict[str, Any]] = []
    first = second = "none"
    for stage, traces, verdicts in _stored(run, chosen):
        counts = stages.setdefault(stage, {"judged": 0, "to_correct": 0, "from_correct": 0})
        again = {old.trace_id: old for old in verdicts}
        if pool is not None:
            again = {item.trace.id: item.verdict for item in chain.from_iterable(stream_verdicts(pool, problems.values(), [traces], cluster))}
        for trace, old in zip(traces, map(partial(_labelled, labels=labels), verdicts), strict=True):
            new = again[trace.id]
            first, second = f"{old.verifier} {old.version}".strip(), f"{new.verifier} {new.version}"
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
        "second": second,
        "judged": judged,
        "agreement": 1 - len(disagreements) / judged,
        "accepted": asdict(_agreement(confusion)),
        "confusion": {old: {new: confusion[old, new] for new in OUTCOMES} for old in OUTCOMES},
        "stages": stages,
        "disagreements": disagreements,
    }


def _stored(run: RunFolder, chosen: Container[str] | None) -> Iterator[tuple[str, list[Trace], list[Verdict]]]:
    """The stage, the chosen traces and their verdicts of each shard; all traces if none are chosen."""
    # Guards have other problems, and verifiers of their own.
    places = (folder.parent for folder in run.root.glob("**/verdicts") if "guards" not in folder.relative_to(run.root).parts)
    for place in sorted(places):
        for several in shards(place):
            found = [item for item in several if chosen is None or item.trace.id in chosen]
            if found:
                yield _stage(place.relative_to(run.root)), [item.trace for item in found], [item.verdict for item in found]


def _chosen(run: RunFolder, labels: Mapping[str, bool] | None, sample: int | None) -> Container[str] | None:
    """The ids of the traces to compare; None for all."""
    if labels is None and sample is None:
        return None
    ids = [trace.id for _, traces, _ in _stored(run, labels) for trace in traces]
    if labels is not None and (strange := sorted(labels.keys() - set(ids))):
        raise UserError(f"{run} has no verified trace {strange[0]!r}, which a label names; `selfimprove traces --json` shows the ids")
    return {*ids} if sample is None else {*random.Random(0).sample(ids, min(sample, len(ids)))}


def _labelled(verdict: Verdict, labels: Mapping[str, bool] | None) -> Verdict:
    """The label in place of the stored verdict, where there are labels."""
    if labels is None:
        return verdict
    outcome = Outcome.CORRECT if labels[verdict.trace_id] else Outcome.WRONG
    return replace(verdict, outcome=outcome, verifier="labels", version="", score=outcome.score)


def _agreement(confusion: Mapping[tuple[str, str], int]) -> Agreement:
    """What each of the two accepts."""
    accepted: Counter[tuple[bool, bool]] = Counter()
    for (old, new), count in confusion.items():
        accepted[old == Outcome.CORRECT, new == Outcome.CORRECT] += count
    return agreement(accepted[True, True], accepted[False, False], lenient=accepted[False, True], strict=accepted[True, False])


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
    console.print(_accepted(found), highlight=False, soft_wrap=True)
    for item in found["disagreements"][:SHOWN]:
        line = f"{item['trace_id']}: {item['first']} → {item['second']}: answer {item['answer']!r}, reference {item['reference']!r}"
        console.print(printable(line), highlight=False, soft_wrap=True)
    if len(found["disagreements"]) > SHOWN:
        console.print(f"… and {len(found['disagreements']) - SHOWN:,} more (--json prints all)", highlight=False)


def _accepted(found: dict[str, Any]) -> str:
    """On what the two agree, which of them is more lenient, and by how much that differs from chance."""
    accepted, judged = found["accepted"], found["judged"]
    rows = {
        "both agree on what is correct": accepted["both"] + accepted["neither"],
        "too lenient: only the second accepts": accepted["lenient"],
        "too strict: only the first accepts": accepted["strict"],
    }
    lines = [f"  {what:<38}{count:>8,}  {count / judged:>6.1%}" for what, count in rows.items()]
    kappa, interval = accepted["kappa"], accepted["interval"]
    told = "is undefined: each accepts all or none" if kappa is None else f"{kappa:.2f}"
    return "\n".join([*lines, f"  Cohen's kappa {told}" + (f", 95 % interval {interval[0]:.2f} to {interval[1]:.2f}" if interval else "")])


def show_reverified(found: dict[str, Any], console: Console) -> None:
    """Print how many outcomes changed in each stage."""
    table = Table(title=Text(plain_line(f"{found['first']} → {found['second']}")), box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("stage", "verified", "to correct", "from correct"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage, counts in found["stages"].items():
        table.add_row(printable(stage), *(f"{counts[name]:,}" for name in ("judged", "to_correct", "from_correct")))
    console.print(table)
