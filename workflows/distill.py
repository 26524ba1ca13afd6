"""Distillation: the verified traces of a reasoner train smaller models; a table shows what each is worth and what it costs to run.

`python workflows/distill.py [TEACHER]` trains students made from SmolLM2-135M. The teacher is a model folder, by default the quickstart's champion.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from quickstart import workflow as quickstart

from selfimprove import SFT, MLflow, RayCluster, Replay, Sampling, Workflow, open_run_context
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.protocols import Cluster
from selfimprove.protocols.trackers import Trackers
from selfimprove.reports.costs import show_costs
from selfimprove.storage.files import write_json
from selfimprove.studies.distillation import Cost, evaluate_cost, learn, rows, teach
from selfimprove.terminal.captured_output import capture_output
from selfimprove.terminal.exit_codes import in_one_line
from selfimprove.terminal.progress import TerminalProgress

WORKFLOW = replace(
    quickstart,
    name="distill",
    problems_per_generation=400,
    sampling=Sampling(n=3, temperature=0.8, max_tokens=48),
    mixture=Replay(per_problem=2),
    # Layers that have lost their neighbours must learn more than the form.
    trainer=SFT(epochs=4, learning_rate=5e-4, batch_size=16),
)


def main(
    teacher: str = "./runs/quickstart/champion",
    workflow: Workflow = WORKFLOW,
    sizes: Sequence[int] = (20, 15, 10),
    folder: Path = Path("runs/distill"),
    start_cluster: Callable[[], Cluster] = RayCluster,
    tracker: Trackers = None,
) -> list[Cost]:
    """Return the costs of teacher and students. Students named `-teacher` keep layers of the teacher, the others layers of the base model."""
    with capture_output(folder / "logs" / "distill.log") as console:
        reasoner = describe_folder(resolve_model(teacher), "teacher")
        with open_run_context(workflow, folder, start_cluster, tracker or MLflow(), TerminalProgress(console)) as context:
            lesson = teach(context, reasoner)
            students = [learn(context, context.base, layers, lesson, f"{layers}-layers") for layers in sizes]
            students += [learn(context, reasoner, layers, lesson, f"{layers}-layers-teacher") for layers in sizes[1:2]]
            costs = [evaluate_cost(context, model, model.id) for model in (reasoner, *students)]
        write_json(folder / "result.json", rows(costs))
        show_costs(rows(costs), console)
    return costs


if __name__ == "__main__":
    with in_one_line("distill"):
        main(*sys.argv[1:2])
