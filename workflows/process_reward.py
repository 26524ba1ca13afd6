"""A process reward model for the champion of a finished run, and its uses, compared at equal sampled tokens.

`python workflows/process_reward.py RUN_DIR` labels thoughts with rollouts, trains the model and tries its uses, or continues where it stopped. Edit
the settings below; the folder `RUN_DIR/process-reward` belongs to one set of them. docs/experiments/process_reward_uses.md explains the result.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from selfimprove import RayCluster, RewardModel, Sampling, Search
from selfimprove.evaluation.equal_tokens import RewardUses
from selfimprove.process_reward.rollouts import Rollouts
from selfimprove.process_reward.training import RewardTrainer
from selfimprove.protocols import Cluster, StepScorer, Trainer
from selfimprove.records import Checkpoint
from selfimprove.reports.reward_uses import table
from selfimprove.studies.open_study import open_study
from selfimprove.studies.process_reward import process_reward_uses
from selfimprove.studies.reward_uses import Uses
from selfimprove.terminal.exit_codes import in_one_line

PROBLEMS = 400
"""Number of training problems whose traces are labelled."""
# Many varied samples: the model learns most from right and wrong traces of one problem.
LABELLED = Sampling(n=8, temperature=1.0, max_tokens=64)
ROLLOUTS = Rollouts(least=4, most=12, max_tokens=64, wrong=400, correct=400)
TRAINER = RewardTrainer(epochs=3)
USES = Uses(
    plain=Sampling(n=32, temperature=0.8, max_tokens=64),
    searches={
        "beam 4 x 4": (1, Search(width=4, expansions=4)),
        "DVTS 4 x 4": (4, Search(expansions=4)),
        "early stop": (16, Search(stop_below=0.2)),
    },
    lowest_steps=(0.2, 0.5, 0.8),
)


def main(
    run_dir: Path,
    rollouts: Rollouts = ROLLOUTS,
    trainer: Trainer = TRAINER,
    scorer: Callable[[Checkpoint], StepScorer] = RewardModel,
    uses: Uses = USES,
    start_cluster: Callable[..., Cluster] = RayCluster,
) -> RewardUses:
    """Label thoughts, train the model, and compare its uses."""
    with open_study(run_dir, "process-reward", start_cluster) as (context, console):
        result = process_reward_uses(context, PROBLEMS, LABELLED, rollouts, trainer, scorer, uses)
        console.print(table(result))
    return result


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python workflows/process_reward.py RUN_DIR")
    with in_one_line("process_reward"):
        main(Path(sys.argv[1]))
