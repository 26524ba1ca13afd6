"""Trains a process reward model for the champion of a finished run, and measures its uses; resumable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from selfimprove.evaluation.equal_tokens import RewardUses
from selfimprove.process_reward.rollouts import Rollouts
from selfimprove.process_reward.step_rewards import StepRewards
from selfimprove.protocols import StepScorer, Trainer
from selfimprove.records import Checkpoint, LabelledTrace
from selfimprove.sampling.sampling import Sampling
from selfimprove.stages.context import RunContext
from selfimprove.stages.label_steps import label_steps
from selfimprove.stages.sample import ask, sample
from selfimprove.stages.train import train
from selfimprove.studies.reward_uses import Uses, compare_uses


def process_reward_uses(
    context: RunContext,
    problems: int,
    sampling: Sampling,
    rollouts: Rollouts,
    trainer: Trainer,
    scorer: Callable[[Checkpoint], StepScorer],
    uses: Uses,
) -> RewardUses:
    """Label thoughts by rollouts, train the reward model on them, and measure its uses, all in the run's folder `process-reward/`.

    Args:
        problems: number of training problems whose traces are labelled.
        sampling: sampling of the traces to label.
        rollouts: how their thoughts are labelled.
        trainer: trains the reward model, from the champion.
        scorer: `RewardModel`, which scores with the trained checkpoint.
        uses: the uses to measure.

    Raises:
        UserError: a setting is invalid, or the folder was made with other settings.
    """
    folder = context.run.root / "process-reward"
    labelled = _labelled(context, problems, sampling, rollouts, folder / "labels")
    made, _ = train(context, context.base, labelled, folder / "model", "process-reward-model", "process reward model", generation=0, trainer=trainer)
    # The scorer takes the trainer's device.
    context.cluster.end(trainer)
    return compare_uses(context, StepRewards(scorer(made)), context.base, uses, folder / "uses")


def _labelled(context: RunContext, number: int, sampling: Sampling, rollouts: Rollouts, folder: Path) -> list[LabelledTrace]:
    """Traces of training problems with a label for every thought."""
    problems = context.problems[:number]
    requests = ask(context, problems, "labelled", sampling=sampling)
    traces = sample(context, context.base, requests, problems, folder / "traces", "traces to label").read()
    return label_steps(context, rollouts, context.base, traces, context.workflow.prompter, folder, "labels")
