"""The score of a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from selfimprove.evaluation.scores import score
from selfimprove.protocols import Cluster, Prompter, Sampler, Verifier
from selfimprove.records import (
    Checkpoint,
    Problem,
    Score,
)
from selfimprove.sampling.sampling import Sampling
from selfimprove.stages.context import RunContext
from selfimprove.stages.sample import ask, sample, sample_and_verify
from selfimprove.stages.verify import verify
from selfimprove.storage.files import read_json, write_json


def evaluate(
    sampler: Sampler,
    verifier: Verifier,
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    prompter: Prompter,
    cluster: Cluster,
    *,
    decoding: Sampling | None = None,
    deadline: float = 5.0,
    seed: int = 0,
) -> Score:
    """The score of a checkpoint on these problems; greedy, one answer each, unless `decoding` says otherwise."""
    requests = ask(problems, prompter, decoding or Sampling(n=1, temperature=0.0), f"{checkpoint.id}-exam", seed)
    traces = sample(sampler, checkpoint, requests, cluster)
    judged = [item for batch in verify(verifier, problems, traces, cluster, deadline) for item in batch]
    return score(checkpoint.id, judged)


def evaluate_checkpoint(context: RunContext, checkpoint: Checkpoint, folder: Path, prompter: Prompter, label: str, name: str | None = None) -> Score:
    """The score of a checkpoint on the held-out problems; an evaluation that was taken is only read.

    `name` tells the traces of this evaluation from those of another one of the same checkpoint.
    """
    if (folder / "score.json").exists():
        return read_json(folder / "score.json", Score)
    workflow = context.workflow
    eval_problems, namespace = context.eval_problems, f"{name or checkpoint.id}-exam"
    requests = ask(eval_problems, prompter, workflow.eval_sampling, namespace, workflow.seed, workflow.delimiters, context.rates(eval_problems))
    shards = sample_and_verify(context, checkpoint, requests, context.eval_problems, folder, label)
    result = score(checkpoint.id, list(shards.read()))
    write_json(folder / "score.json", result)
    return result
