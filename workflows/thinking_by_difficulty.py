"""Should hard problems think longer? Budgets by predicted difficulty against one budget for all, for the champion of a finished run.

`python workflows/thinking_by_difficulty.py RUN_DIR` measures it, or continues where it stopped. Edit the settings below; the folder
`RUN_DIR/thinking-by-difficulty` belongs to one set of them. docs/experiments/thinking_by_difficulty.md explains the result.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from selfimprove import Budget, BudgetByDifficulty, RayCluster
from selfimprove.protocols import Cluster
from selfimprove.reports import budget_curve as budget_report
from selfimprove.reports import difficulty as difficulty_report
from selfimprove.storage.files import plain
from selfimprove.studies.budget_by_difficulty import ThinkingByDifficulty, thinking_by_difficulty
from selfimprove.studies.open_study import open_study
from selfimprove.terminal.exit_codes import in_one_line

SHORT, LONG = 8, 28
LIMITS = range(SHORT, LONG + 1)
"""Limits on thinking tokens to try as one budget for all."""
REST = Budget(answer_tokens=16)
MEANS = (12, 14, 16, 18, 20, 22)
RULES: Mapping[str, Sequence[BudgetByDifficulty]] = {
    "longer on hard problems": [BudgetByDifficulty(easy=SHORT, hard=LONG, mean=mean, otherwise=REST) for mean in MEANS],
    "shorter on hard problems": [BudgetByDifficulty(easy=LONG, hard=SHORT, mean=mean, otherwise=REST) for mean in MEANS],
}


def main(
    run_dir: Path,
    limits: Sequence[int] = LIMITS,
    rules: Mapping[str, Sequence[BudgetByDifficulty]] = RULES,
    start_cluster: Callable[..., Cluster] = RayCluster,
) -> ThinkingByDifficulty:
    """Compare every rule with its control and with one budget for all."""
    with open_study(run_dir, "thinking-by-difficulty", start_cluster) as (context, console):
        result = thinking_by_difficulty(context, limits, rules)
        console.print(budget_report.table(plain(result.curves[:1])), difficulty_report.table(plain(result)))
    return result


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python workflows/thinking_by_difficulty.py RUN_DIR")
    with in_one_line("thinking_by_difficulty"):
        main(Path(sys.argv[1]))
