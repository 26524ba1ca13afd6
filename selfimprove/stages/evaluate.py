"""Evaluate: the score of a checkpoint on the evaluation problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from selfimprove.evaluation.scores import score
from selfimprove.protocols import Prompter
from selfimprove.records import Checkpoint, Problem, Score
from selfimprove.stages.context import RunContext
from selfimprove.stages.sample import ask, sample
from selfimprove.stages.verify_again import verify_again
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest


def evaluate(
    context: RunContext,
    checkpoint: Checkpoint,
    folder: Path,
    label: str | None = None,
    *,
    prompter: Prompter | None = None,
    name: str | None = None,
    problems: Sequence[Problem] | None = None,
) -> Score:
    """The score of a checkpoint, sampled as `Workflow.eval_sampling` says.

    The verifiers of `Workflow.also` judge the same traces.

    Args:
        folder: Gets the traces, the verdicts, `score.json`, and the further verdicts in `also/`.
        label: Name of the stage in the progress display; None for the folder's name.
        prompter: How the problems are asked; None for the workflow's prompter.
        name: Tells these traces from those of another evaluation of the same checkpoint; None for the checkpoint's id.
        problems: Problems to ask; None for the evaluation's.
    """
    problems = context.eval_problems if problems is None else problems
    requests = ask(context, problems, f"{name or checkpoint.id}-exam", prompter, context.workflow.eval_sampling)
    made_from = {"requests": digest(requests), "weights": checkpoint.weights_hash, "tokenizer and chat template": checkpoint.tokenizer_hash}

    def make() -> Score:
        return score(checkpoint.id, list(sample(context, checkpoint, requests, problems, folder, label).read()))

    result = keep(folder / "score.json", Score, made_from, make)
    verify_again(context, checkpoint.id, folder, label)
    return result
