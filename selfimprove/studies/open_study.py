"""Opens the context of a study on a finished run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console

from selfimprove.protocols import Cluster
from selfimprove.stages.context import RunContext, of_finished_run
from selfimprove.storage.kept_source import kept_source
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.captured_output import capture_output
from selfimprove.terminal.progress import TerminalProgress
from selfimprove.tracking.named import trackers_of
from selfimprove.workflow.files import load_workflow


@contextmanager
def open_study(run_dir: Path, name: str, start_cluster: Callable[..., Cluster]) -> Iterator[tuple[RunContext, Console]]:
    """The context of a study on the run in `run_dir`, and the console for its result.

    The workflow is the copy that the run keeps; the study is logged where that run is. The output of libraries goes to
    `RUN_DIR/logs/NAME.log`.

    Args:
        name: name of the study.
        start_cluster: `RayCluster`, or a function that takes the folder of logs and, as `ship`, the workflow's modules.

    Raises:
        UserError: the folder holds no run, or the run has no champion yet.
    """
    run = RunFolder(run_dir)
    workflow, modules = load_workflow(*kept_source(run))
    with capture_output(run.logs / f"{name}.log") as console, closing(start_cluster(run.logs, ship=modules)) as cluster:
        yield of_finished_run(run, workflow, cluster, trackers_of(run.root), TerminalProgress(console)), console
