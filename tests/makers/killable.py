"""Toy parts that log what they do, for tests that kill them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toy import ToySampler, ToyTrainer

from selfimprove.__main__ import main
from selfimprove.records import AcceptedTrace, Checkpoint, GenerationReport, Request, Trace, TrainingStep
from selfimprove.storage.run_folder import RunFolder

WORKFLOW = """
from pathlib import Path
from killable import NotingSampler
from selfimprove import Exact, Guard, Reflection
from toy import Sums, ToyTrainer, toy_workflow
workflow = toy_workflow(
    Path({model!r}), problems=Sums(size=335), sampler=NotingSampler(log={log!r}), trainer=ToyTrainer(gain=0.001), generations=3,
    guards={{"far": Guard(problems=Sums(20, 900), verifier=Exact())}},
    reflection=Reflection(loss_on_wrong=True, same_thoughts=True),
)
"""


def drive(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run the command line in this process, and exit with its code."""
    os.environ.update(environment)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    sys.exit(main(list(arguments)))


@dataclass(frozen=True)
class NotingSampler(ToySampler):
    """Logs the id of every request when it starts it; the environment variable `PAUSE` is the number of seconds between two traces."""

    log: str = ""

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        note = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        pause = float(os.environ.get("PAUSE", "0"))
        try:
            for request in requests:
                os.write(note, f"{request.id}\n".encode())
                time.sleep(pause)
                yield [self._trace(checkpoint, request)]
        finally:
            os.close(note)


@dataclass(frozen=True)
class PausingTrainer(ToyTrainer):
    """Waits between two steps as the sampler between two traces."""

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        for step in super().train(start, rows, into, seed):
            time.sleep(float(os.environ.get("PAUSE", "0")))
            yield step


def files_of(root: Path) -> dict[str, bytes]:
    """Every file of a run, except those that hold times or the name of its folder, and except logs."""
    skipped = {"seconds.json", "report.json", "report.html", "mlflow.json", "sampling.manifest.json", "workflow.json", "workflow.py", "removed.json"}
    return {
        str(path.relative_to(root)): path.read_bytes() if path.name != "SHA256SUMS" else sums_without(skipped, path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in skipped and "logs" not in path.parts
    }


def sums_without(skipped: set[str], sums: Path) -> bytes:
    """The recorded hashes of the other files."""
    return b"".join(line for line in sums.read_bytes().splitlines(keepends=True) if line.decode().rstrip().partition("  ")[2] not in skipped)


def reports(root: Path) -> list[GenerationReport]:
    """The reports of a run without times and paths."""

    def bare(report: GenerationReport) -> GenerationReport:
        places = {name: replace(getattr(report, name), path="") for name in ("start", "candidate", "kept")}
        tried = {name: replace(one, checkpoint=replace(one.checkpoint, path="")) for name, one in report.tried.items()}
        return replace(report, seconds={}, tried=tried, **places)

    return [bare(report) for report in RunFolder(root).reports()]
