"""Should hard problems think longer? Budgets by predicted difficulty against one budget for all, for the champion of a finished run.

`python workflows/thinking_by_difficulty.py RUN_DIR` measures it, or continues where it stopped. Edit the settings; the folder
`RUN_DIR/thinking-by-difficulty` is that of one set of them. docs/experiments/thinking_by_difficulty.md tells how to read the result.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from selfimprove import Budget, BudgetByDifficulty, MLflow, RayCluster
from selfimprove.protocols import Cluster
from selfimprove.reports import budget_curve as budget_report
from selfimprove.reports import difficulty as difficulty_report
from selfimprove.storage.files import plain
from selfimprove.storage.run_folder import RunFolder
from selfimprove.studies.budget_by_difficulty import ThinkingByDifficulty, thinking_by_difficulty
from selfimprove.terminal.captured_output import noise_into
from selfimprove.terminal.exit_codes import in_one_line
from selfimprove.terminal.progress import Show
from selfimprove.workflow.files import load_workflow

SHORT, LONG = 8, 28
LIMITS = range(SHORT, LONG + 1)
"""The most thinking tokens of one budget for all."""
REST = Budget(answer_tokens=16)
MEANS = (12, 14, 16, 18, 20, 22)
RULES: Mapping[str, Sequence[BudgetByDifficulty]] = {
    "hard ones longer": [BudgetByDifficulty(easy=SHORT, hard=LONG, mean=mean, otherwise=REST) for mean in MEANS],
    "hard ones shorter": [BudgetByDifficulty(easy=LONG, hard=SHORT, mean=mean, otherwise=REST) for mean in MEANS],
}


def main(
    run_dir: Path,
    limits: Sequence[int] = LIMITS,
    rules: Mapping[str, Sequence[BudgetByDifficulty]] = RULES,
    start_cluster: Callable[..., Cluster] = RayCluster,
) -> ThinkingByDifficulty:
    """Every rule beside its control and one budget for all."""
    run = RunFolder(run_dir)
    workflow, module = load_workflow(*run.source())
    tracker = MLflow(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.root.parent / 'mlflow.db'}")
    with noise_into(run.logs / "thinking-by-difficulty.log") as console, closing(start_cluster(run.logs, ship=[module])) as cluster:
        result = thinking_by_difficulty(run, workflow, limits, rules, cluster, tracker, Show(console))
        console.print(budget_report.table(plain(result.curves[:1])), difficulty_report.table(plain(result)))
    return result


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python workflows/thinking_by_difficulty.py RUN_DIR")
    with in_one_line("thinking_by_difficulty"):
        main(Path(sys.argv[1]))
