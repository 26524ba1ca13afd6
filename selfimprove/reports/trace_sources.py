"""Which stage's traces are read: a generation's, an evaluation's, a guard's or a baseline's, or the evaluation with thinking off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from selfimprove.errors import UserError
from selfimprove.storage.averaged import candidate_folder
from selfimprove.storage.further import THINKING_OFF
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import holds_traces

SAMPLING, EVALUATION, GUARD = "sampling", "evaluation", "guard-"


@dataclass(frozen=True)
class TraceSource:
    """A stage whose traces are read."""

    source: str
    """`sampling`, `evaluation`, `thinking-off`, `guard-<name>`, or the name of a baseline with dashes."""
    generation: int | None
    """None for a baseline."""
    folder: Path
    problems: str
    """The set that it asked: `train`, `eval` or `guard-<name>`."""


def choose(run: RunFolder, source: str | None, generation: int | None) -> TraceSource:
    """The stage that `source` and `generation` stand for; each may be None, as `reports.traces.find` says.

    Raises:
        UserError: There is no such stage, or it has written no traces yet.
    """
    off = [THINKING_OFF] if run.settings().get("direct_share") else []
    guards = [f"{GUARD}{name}" for name in run.settings().get("guards") or {}]
    if source in guards:
        folders = {one: candidate_folder(run, one) / "guards" / source.removeprefix(GUARD) for one in run.generations()}
        number = _number(run, generation, folders, source)
        return TraceSource(source, number, folders[number], source)
    if source == THINKING_OFF:
        number = _number(run, generation, {one: candidate_folder(run, one) / THINKING_OFF for one in run.generations()}, source)
        return TraceSource(source, number, candidate_folder(run, number) / THINKING_OFF, "eval")
    if source not in (None, SAMPLING, EVALUATION):
        if generation is not None:
            raise UserError(f"--from {source} is one evaluation of the run; leave out --generation")
        baselines = {one.parent.name.replace("_", "-"): one for one in sorted(run.root.glob("baselines/*/evaluation")) if holds_traces(one)}
        if (folder := baselines.get(source)) is None:
            raise UserError(f"{run} holds no traces from {source!r}; choose {', '.join((SAMPLING, EVALUATION, *off, *guards, *baselines))}")
        return TraceSource(source, None, folder, "eval")
    if source == EVALUATION or (source is None and generation == 0):
        number = _number(run, generation, {one: candidate_folder(run, one) / "evaluation" for one in run.generations()}, "evaluation")
        return TraceSource(EVALUATION, number, candidate_folder(run, number) / "evaluation", "eval")
    number = _number(run, generation, {one: run.generation(one) for one in run.generations()}, "sampled")
    return TraceSource(SAMPLING, number, run.generation(number), "train")


def _number(run: RunFolder, wanted: int | None, folders: dict[int, Path], kind: str) -> int:
    """The wanted generation among these folders, or the default one."""
    there = [number for number, folder in folders.items() if holds_traces(folder)]
    if not there:
        evaluated = kind == "sampled" and any(holds_traces(folder / "evaluation") for folder in folders.values())
        raise UserError(f"{run} holds no {kind} traces yet{'; --from evaluation reads those of the evaluation' if evaluated else ''}")
    if wanted is not None and wanted not in there:
        raise UserError(f"generation {wanted} of {run} holds no {kind} traces; available: {', '.join(map(str, there))}")
    if wanted is not None:
        return wanted
    reports = run.reports()
    if kind == "evaluation" and reports:
        return reports[-1].kept.generation
    complete = [report.generation for report in reports if report.generation in there]
    return complete[-1] if complete else there[-1]
