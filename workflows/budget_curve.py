"""Accuracy against thinking budget: what the champion of a finished run gains from thinking longer.

`python workflows/budget_curve.py RUN_DIR` measures it, or continues where it stopped. Edit the settings; the folder `RUN_DIR/budget-curve` is that
of one set of them. docs/experiments/budget_curve.md tells how to read the result.
"""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from selfimprove import Budget, MLflow, RayCluster, Sampling
from selfimprove.evaluation.budget_curve import BudgetCurve
from selfimprove.protocols import Cluster
from selfimprove.reports import budget_curve as budget_report
from selfimprove.storage.files import plain
from selfimprove.storage.run_folder import RunFolder
from selfimprove.studies.budget_curve import sweep
from selfimprove.terminal.captured_output import noise_into
from selfimprove.terminal.exit_codes import in_one_line
from selfimprove.terminal.progress import Show
from selfimprove.workflow.files import load_workflow

BUDGETS: Mapping[str, Budget | None] = {
    **{f"at most {most}": Budget(max_tokens=most, answer_tokens=16) for most in (2, 4, 8, 12, 16, 24, 32)},
    "own length": None,
    **{f"{count} × Wait": Budget(extensions=count, continuations=("Wait",), answer_tokens=16) for count in (1, 2, 4)},
}
REJECTION = Sampling(n=16, temperature=0.6, max_tokens=256)


def main(
    run_dir: Path, budgets: Mapping[str, Budget | None] = BUDGETS, rejection: Sampling = REJECTION, start_cluster: Callable[..., Cluster] = RayCluster
) -> tuple[BudgetCurve, ...]:
    """Both curves: budget forcing, and rejection sampling as its baseline."""
    run = RunFolder(run_dir)
    workflow, module = load_workflow(*run.source())
    tracker = MLflow(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.root.parent / 'mlflow.db'}")
    with noise_into(run.logs / "budget-curve.log") as console, closing(start_cluster(run.logs, ship=[module])) as cluster:
        curves = sweep(run, workflow, budgets, rejection, cluster, tracker, Show(console))
        console.print(budget_report.table(plain(curves)))
    return curves


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python workflows/budget_curve.py RUN_DIR")
    with in_one_line("budget_curve"):
        main(Path(sys.argv[1]))
