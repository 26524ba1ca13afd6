"""Accuracy against thinking budget: what the champion of a finished run gains from thinking longer.

`python workflows/budget_curve.py RUN_DIR` measures it, or continues where it stopped. Edit the settings below; the folder `RUN_DIR/budget-curve`
belongs to one set of them. docs/experiments/budget_curve.md explains the result.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from selfimprove import Budget, RayCluster, Sampling
from selfimprove.evaluation.budget_curve import BudgetCurve
from selfimprove.protocols import Cluster
from selfimprove.reports import budget_curve as budget_report
from selfimprove.storage.files import plain
from selfimprove.studies.budget_curve import budget_curve
from selfimprove.studies.open_study import open_study
from selfimprove.terminal.exit_codes import in_one_line

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
    with open_study(run_dir, "budget-curve", start_cluster) as (context, console):
        curves = budget_curve(context, budgets, rejection)
        console.print(budget_report.table(plain(curves)))
    return curves


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python workflows/budget_curve.py RUN_DIR")
    with in_one_line("budget_curve"):
        main(Path(sys.argv[1]))
