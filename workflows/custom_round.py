"""A round of your own: the stages in another order. Problems that the first attempt did not solve are sampled again, twice as often.

`python workflows/custom_round.py` runs it with the parts of the quickstart, or continues where it stopped.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from quickstart import workflow as quickstart

from selfimprove import RayCluster, RunContext, Workflow, ask, evaluate, open_run_context, sample, select, train
from selfimprove.protocols import Cluster
from selfimprove.records import JudgedTrace, Outcome, Problem, Score

WORKFLOW = replace(quickstart, name="custom-round")


def main(
    workflow: Workflow = WORKFLOW,
    most_problems: int = 200,
    folder: Path = Path("runs/custom-round"),
    start_cluster: Callable[[], Cluster] = RayCluster,
) -> tuple[Score, Score]:
    """Return the scores before and after one round; the new model is in `folder`."""
    with open_run_context(workflow, folder, start_cluster) as context:
        problems, samples = context.problems[:most_problems], workflow.sampling.n
        first = attempt(context, "first", problems, samples)
        solved = {item.trace.problem_id for item in first if item.verdict.outcome is Outcome.CORRECT}
        hard = [problem for problem in problems if problem.id not in solved]
        second = attempt(context, "second", hard, 2 * samples)

        selection = select(context, first + second, problems, generation=1)
        rows = workflow.mixture.rows([selection.accepted], workflow.seed)
        student, _ = train(context, context.base, rows, context.run.root / "student", "student")
        before, after = (evaluate(context, model, context.run.root / f"evaluation-{model.id}") for model in (context.base, student))
    print(f"{len(solved)} problems solved at first, {len({row.problem_id for row in rows})} at the end, of {len(problems)}")
    print(f"pass@1 {before.pass_at_1:.3f} → {after.pass_at_1:.3f}: {student.path}")
    return before, after


def attempt(context: RunContext, name: str, problems: Sequence[Problem], samples: int) -> list[JudgedTrace]:
    """Traces of each problem, with their verdicts."""
    workflow = context.workflow
    requests = ask(context, problems, name, workflow.first_prompter, replace(workflow.sampling, n=samples))
    return list(sample(context, context.base, requests, problems, context.run.root / name).read())


if __name__ == "__main__":
    main()
