"""Learn from the wrong traces of a finished run: DPO trains its champion on pairs from the newest generations, and both are evaluated.

`python workflows/wrong_traces.py runs/quickstart` leaves the new model and its pairs in `runs/wrong-traces`.
"""

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rich.console import Console

from selfimprove import DPO, RayCluster, Workflow, evaluate, train
from selfimprove.evaluation.paired import compare
from selfimprove.protocols import Cluster, Trainer
from selfimprove.records import AcceptedTrace, Pair, Score
from selfimprove.selection.preference_pairs import pair_up
from selfimprove.stages.context import of_finished_run
from selfimprove.storage.files import read_records, write_records
from selfimprove.storage.kept_source import kept_source
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored
from selfimprove.terminal.exit_codes import in_one_line
from selfimprove.terminal.progress import TerminalProgress
from selfimprove.workflow.files import load_workflow

TRAINER = DPO(learning_rate=1e-5, epochs=2)


def main(
    run: RunFolder,
    workflow: Workflow,
    trainer: Trainer = TRAINER,
    most_pairs: int = 100,
    folder: Path = Path("runs/wrong-traces"),
    start_cluster: Callable[[], Cluster] = RayCluster,
) -> tuple[Score, Score]:
    """Return the scores of the champion and of the model trained further on pairs."""
    pairs: list[Pair] = []
    for report in reversed(run.reports()[1:]):
        generation = run.generation(report.generation)
        accepted = read_records(generation / "accepted.parquet", AcceptedTrace)
        pairs += pair_up(accepted, stored(generation), 1, workflow.seed)
    pairs, folder = pairs[:most_pairs], folder.absolute()
    write_records(folder / "pairs.parquet", pairs, Pair)
    with closing(start_cluster()) as cluster:
        context = of_finished_run(run, workflow, cluster, progress=TerminalProgress(Console()))
        student, _ = train(context, context.base, pairs, folder, "student", trainer=trainer)
        before, after = (evaluate(context, model, folder / f"evaluation-{model.id}") for model in (context.base, student))
    found = compare(before, after)
    print(f"{len(pairs)} pairs; pass@1 {before.pass_at_1:.3f} → {after.pass_at_1:.3f}: {found.gained} gained, {found.lost} lost")
    print(f"the difference is between {found.low:+.3f} and {found.high:+.3f} (90 %): {student.path}")
    return before, after


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python workflows/wrong_traces.py RUN_DIR")
    with in_one_line("wrong_traces"):
        finished = RunFolder(Path(sys.argv[1]))
        main(finished, load_workflow(*kept_source(finished))[0])
