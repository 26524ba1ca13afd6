"""Seconds and reward of GRPO steps, with rollouts by the trainer and by the sampler: `python -m benchmarks.reinforcement MODEL STEPS`."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from benchmarks.machine import describe_machine
from selfimprove import GRPO, RayCluster
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.records import ReinforcementPrompt
from selfimprove.stages.context import RunContext
from selfimprove.stages.roll_out import roll_out
from selfimprove.stages.train import train
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import NoProgress
from selfimprove.workflow.files import load_workflow

RECIPE = Path("workflows/r1_recipe.py")


class Moments(NoProgress):
    """When each training step ended."""

    def __init__(self) -> None:
        self.when: list[float] = []

    def advance(self, *_: Any, loss: float | None = None, **__: Any) -> None:
        """Note the time of a training step; rollouts have no loss."""
        if loss is not None:
            self.when.append(time.monotonic())


def measure(model: Path, steps: int, rollouts: Literal["sampler", "trainer"]) -> tuple[list[float], list[float], float]:
    """Seconds of each step after the first, mean reward of each step, and median number of rollout tokens in a step."""
    workflow, modules = load_workflow(RECIPE)
    part = next(one.reinforcement for one in workflow.rounds if one.reinforcement)
    assert isinstance(part, GRPO)
    part, moments = replace(part, steps=steps, rollouts=rollouts, verifiers=workflow.verifiers), Moments()
    base, problems = describe_folder(model, "start"), list(workflow.problems.load())[:64]
    prompts = [ReinforcementPrompt(problem, workflow.prompter.messages(problem)) for problem in problems]
    with tempfile.TemporaryDirectory() as scratch, closing(RayCluster(ship=modules)) as cluster:
        context = RunContext(
            workflow=workflow, run=RunFolder(Path(scratch)), cluster=cluster, base=base, problems=problems, eval_problems=[], progress=moments
        )
        answer = partial(roll_out, context, problems=problems, verifiers=workflow.verifiers)
        _, done = train(context, base, prompts, Path(scratch) / "grpo", "grpo", trainer=part, roll_out=answer)
    seconds = [after - before for before, after in pairwise(moments.when)]
    return seconds, [step.figures["reward"] for step in done], statistics.median(step.figures["rollout_tokens"] for step in done)


def main(model: str, steps: str = "4") -> None:
    """Measure both kinds and print their seconds, rewards and ratio."""
    print(describe_machine())
    medians = []
    for rollouts in ("trainer", "sampler"):
        seconds, rewards, tokens = measure(Path(model), int(steps), rollouts)  # type: ignore[arg-type]
        medians.append(statistics.median(seconds))
        shown = ", ".join(f"{one:.1f}" for one in seconds)
        print(f"rollouts by the {rollouts}: {shown} s a step; {tokens:,.0f} tokens; reward {', '.join(f'{one:.2f}' for one in rewards)}", flush=True)
    print(f"ratio {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
