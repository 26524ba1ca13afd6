"""A process reward model for the champion of a finished run, and what it is good for, each use compared at equal sampled tokens.

`python workflows/process_reward.py RUN_DIR` labels thoughts by rollouts, trains the model and tries its uses, or continues where it stopped. Edit the
settings; the folder `RUN_DIR/process-reward` is that of one set of them. docs/experiments/process_reward_uses.md tells how to read the result.
"""

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from selfimprove import MLflow, RayCluster, RewardModel, Sampling, Search, StepRewards, ask, sample, train
from selfimprove.evaluation.equal_tokens import RewardUses
from selfimprove.process_reward.rollouts import Rollouts
from selfimprove.process_reward.training import RewardTrainer
from selfimprove.protocols import Cluster, StepScorer, Trainer
from selfimprove.records import Checkpoint, LabelledTrace
from selfimprove.reports.reward_uses import table
from selfimprove.stages.context import RunContext, of_finished_run
from selfimprove.stages.label_steps import label_steps
from selfimprove.storage.run_folder import RunFolder
from selfimprove.studies.reward_uses import Uses, compare_uses
from selfimprove.terminal.captured_output import noise_into
from selfimprove.terminal.exit_codes import in_one_line
from selfimprove.terminal.progress import Show
from selfimprove.workflow.files import load_workflow

PROBLEMS = 400
"""Of the run's training problems: those whose traces are labelled."""
# Many and varied samples: right and wrong traces of one problem are what the model learns most from.
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
    """Label, train, measure, use."""
    run = RunFolder(run_dir)
    workflow, module = load_workflow(*run.source())
    tracker = MLflow(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.root.parent / 'mlflow.db'}")
    folder = run.root / "process-reward"
    with noise_into(run.logs / "process-reward.log") as console, closing(start_cluster(run.logs, ship=[module])) as cluster:
        context = of_finished_run(run, workflow, cluster, tracker, Show(console))
        model = context.base
        labelled = label(context, model, rollouts, folder / "labels")
        made, _ = train(context, model, labelled, folder / "model", "process-reward-model", "process reward model", generation=0, trainer=trainer)
        cluster.end(trainer)
        result = compare_uses(context, StepRewards(scorer(made)), model, uses, folder / "uses")
        console.print(table(result))
    return result


def label(context: RunContext, model: Checkpoint, rollouts: Rollouts, folder: Path) -> list[LabelledTrace]:
    """Traces of training problems with a label for every thought."""
    workflow, problems = context.workflow, context.problems[:PROBLEMS]
    requests = ask(context, problems, "labelled", sampling=LABELLED)
    traces = sample(context, model, requests, problems, folder / "traces", "traces to label").read()
    return label_steps(context, rollouts, model, traces, workflow.prompter, folder, "labels")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python workflows/process_reward.py RUN_DIR")
    with in_one_line("process_reward"):
        main(Path(sys.argv[1]))
