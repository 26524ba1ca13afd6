"""`selfimprove run --seeds`: one run for each seed, one after the other, and their means."""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfimprove.commands.parser import print_result
from selfimprove.commands.run import improve_shown, runs_folder
from selfimprove.errors import UserError, WorkerFailed
from selfimprove.errors.redaction import redact
from selfimprove.reports.seeds import show_seeds, summarize_seeds
from selfimprove.reports.table import is_complete
from selfimprove.settings.paths import describe, override
from selfimprove.storage.files import read_json, write_json
from selfimprove.storage.kept_source import keep_source
from selfimprove.storage.lock import BeingWritten
from selfimprove.storage.open_run import reading, writing
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.stopwatch import Stopwatch
from selfimprove.terminal.exit_codes import REFUSED, one_line
from selfimprove.terminal.progress import duration
from selfimprove.terminal.safe_text import plain_line
from selfimprove.tracking.mlflow import MLflow
from selfimprove.tracking.mlflow_page import label
from selfimprove.tracking.named import trackers
from selfimprove.workflow.files import load_workflow
from selfimprove.workflow.workflow import Workflow

FILE = "seeds.json"
"""File of a run folder that names the group of its seeds' runs."""


@dataclass(frozen=True)
class _Seed:
    """One seed and its run."""

    seed: int
    workflow: Workflow
    place: Path | str
    run: RunFolder
    """To read; a run at a URL as it is in its working folder."""

    @property
    def begun(self) -> bool:
        return (self.run.root / "workflow.json").exists()

    @property
    def complete(self) -> bool:
        """Whether nothing of it is left to do. The page is written last: where a run was begun again and stopped, it is older than the settings."""
        if not self.begun or self.run.settings() != describe(self.workflow) or not is_complete(self.run):
            return False
        page, settings = self.run.root / "report.html", self.run.root / "workflow.json"
        return page.exists() and page.stat().st_mtime_ns >= settings.stat().st_mtime_ns

    @property
    def seconds(self) -> float:
        """What its stages have taken so far."""
        return sum(sum(Stopwatch(file).seconds.values()) for file in self.run.root.rglob("seconds.json"))


def run_seeds(options: argparse.Namespace) -> int:
    """Run, or continue, the workflow with each seed, and print the means over those that are complete.

    A seed that fails is named, and the next one follows, unless none has come as far as an evaluation: then the others would fail alike. Returns the
    exit code: 0 if all are complete.
    """
    if any(change.partition("=")[0].strip() == "seed" for change in options.set):
        raise UserError("--seeds gives each run its seed; leave out --set seed=…")
    file = Path(options.workflow)
    workflow, modules = load_workflow(file, options.set)
    place = options.run_dir or runs_folder() / workflow.name
    planned = [_planned(workflow, seed, place) for seed in options.seeds]
    for one in planned:
        one.run.require_room_for(describe(one.workflow))
    group, failed = _group(planned, label(workflow.name, Path(str(place)).name)), dict[str, str]()
    with _above(options, planned, group) as above:
        for number, one in enumerate(planned, start=1):
            part = f"seed {number} of {len(planned)}"
            if one.complete:
                print(plain_line(redact(f"{part}: complete, in {one.run}")), file=sys.stderr if options.json else sys.stdout)
                continue
            try:
                with writing(one.place) as run:
                    keep_source(run, file, [*options.set, f"seed={one.seed}"], modules[1:])
                    write_json(run.root / FILE, {"group": group}, hashed=False)
                    improve_shown(one.workflow, modules, run, options, _expected(planned, one), part, group)
            except (UserError, WorkerFailed) as error:
                if options.debug or isinstance(error, BeingWritten) or not any(each.run.report(0) for each in planned):
                    raise
                failed[str(one.run)] = one_line(error)
                print(f"selfimprove: {part} (seed={one.seed}): {one_line(error)}", file=sys.stderr)
        above.found = _found(planned, failed)
    if above.found is None:
        return REFUSED
    print_result(above.found, options, show_seeds)
    return REFUSED if above.found["left_out"] else 0


def _planned(workflow: Workflow, seed: int, place: Path | str) -> _Seed:
    own = place_of(place, seed)
    return _Seed(seed, override(workflow, f"seed={seed}"), own, reading(own))


def place_of(place: Path | str, seed: int) -> Path | str:
    """Where the run of a seed is: `runs/first-seed1` for `runs/first`, and likewise for a URL."""
    if "://" in str(place):
        return f"{str(place).rstrip('/')}-seed{seed}"
    whole = Path(place).resolve()
    return whole.with_name(f"{whole.name}-seed{seed}")


def _group(planned: Sequence[_Seed], name: str) -> str:
    """The group that one of the runs belongs to, or a new one: the same folders may be used again for other runs."""
    files = (one.run.root / FILE for one in planned)
    known = next((read_json(file, dict[str, str]).get("group") for file in files if file.exists()), None)
    return known or f"{name}-seeds-{uuid.uuid4().hex[:8]}"


def _expected(planned: Sequence[_Seed], now: _Seed) -> str:
    """The line that opens a seed: how long it and the seeds after it take, going by those that are complete."""
    done = [one.seconds for one in planned if one.complete]
    left = [one for one in planned if not one.complete]
    if not done:
        also = f"; the {len(left)} seeds together take about {len(left)} times as long as this one" if len(left) > 1 else ""
        return f"seed={now.seed}{also}"
    each = sum(done) / len(done)
    return f"seed={now.seed}; about {duration(sum(max(0.0, each - one.seconds) for one in left))} to the end of all seeds"


@dataclass
class _Above:
    """What the trackers are told of all seeds."""

    found: dict[str, Any] | None = None


@contextmanager
def _above(options: argparse.Namespace, planned: Sequence[_Seed], group: str) -> Iterator[_Above]:
    """Tell MLflow at the end what the seeds have in common, and how they ended."""
    above, status = _Above(), "FAILED"
    try:
        yield above
        status = "FINISHED" if above.found and not above.found["left_out"] else "FAILED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        for one in trackers(options.tracker, planned[0].run.root, group):
            if isinstance(one, MLflow):
                one.log_seeds([each.run for each in planned], above.found, status)


def _found(planned: Sequence[_Seed], failed: dict[str, str]) -> dict[str, Any] | None:
    """The means over the complete seeds; None if there is none."""
    if not any(one.complete for one in planned):
        return None
    found = summarize_seeds([one.run for one in planned if one.begun], failed)
    absent = [{"seed": one.seed, "run_dir": str(one.run), "why": failed[str(one.run)]} for one in planned if not one.begun]
    return {**found, "left_out": [*found["left_out"], *absent]}
