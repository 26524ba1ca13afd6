"""A round of your own: the stages in another order. Problems that resist the first attempt are sampled again, twice as often, before training.

`python workflows/custom_round.py` runs it with the parts of the quickstart.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from quickstart import workflow as quickstart

from selfimprove import (
    Checkpoint,
    Cluster,
    JudgedTrace,
    Outcome,
    Problem,
    RayCluster,
    Score,
    Workflow,
    ask,
    describe_folder,
    evaluate,
    load_sets,
    resolve_model,
    sample,
    select,
    train,
    verify,
)


def main(
    workflow: Workflow = quickstart,
    most_problems: int = 200,
    folder: Path = Path("runs/custom-round"),
    start_cluster: Callable[[], Cluster] = RayCluster,
) -> tuple[Score, Score]:
    """Return the scores before and after one round; the new model is in `folder`."""
    problems, eval_problems = load_sets(workflow.problems, workflow.eval_problems, workflow.seed)
    base = describe_folder(resolve_model(workflow.base_model), "base")
    samples = workflow.sampling.n

    with closing(start_cluster()) as cluster:
        first = attempt("first", problems[:most_problems], samples, base, workflow, cluster)
        solved = {item.trace.problem_id for item in first if item.verdict.outcome is Outcome.CORRECT}
        hard = [problem for problem in problems[:most_problems] if problem.id not in solved]
        second = attempt("second", hard, 2 * samples, base, workflow, cluster)

        selection = select(workflow.selector, first + second, problems, workflow.prompter, generation=1)
        rows = workflow.mixture.rows([selection.accepted], workflow.seed)
        student = train(workflow.trainer, base, rows, folder.absolute(), cluster, checkpoint_id="student", generation=1)
        before, after = (
            evaluate(workflow.sampler, workflow.verifier, model, eval_problems, workflow.prompter, cluster, decoding=workflow.eval_sampling)
            for model in (base, student)
        )
    print(f"{len(solved)} problems solved at first, {len({row.problem_id for row in rows})} at the end, of {len(solved) + len(hard)}")
    print(f"pass@1 {before.pass_at_1:.3f} → {after.pass_at_1:.3f}: {student.path}")
    return before, after


def attempt(name: str, problems: Sequence[Problem], samples: int, model: Checkpoint, workflow: Workflow, cluster: Cluster) -> list[JudgedTrace]:
    """Return `samples` traces of each problem, with their verdicts."""
    prompter = workflow.first_prompter or workflow.prompter
    requests = ask(problems, prompter, replace(workflow.sampling, n=samples), name, workflow.seed)
    traces = sample(workflow.sampler, model, requests, cluster)
    return [judged for batch in verify(workflow.verifier, problems, traces, cluster) for judged in batch]


if __name__ == "__main__":
    main()
