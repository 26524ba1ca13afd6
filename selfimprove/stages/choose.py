"""Choose: a generation's candidate, or its average with the weights that its training started from, whichever the gate prefers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from selfimprove.checkpoints.averaging import average_weights
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.errors.redaction import redact
from selfimprove.evaluation.guards import refusals
from selfimprove.records import Checkpoint, GenerationReport, Stage, TriedCandidate
from selfimprove.stages.context import RunContext
from selfimprove.stages.evaluate import evaluate
from selfimprove.stages.first_attempts import first_attempts
from selfimprove.stages.guards import evaluate_guards
from selfimprove.stages.measure_drift import measure_drift
from selfimprove.stages.thinking_off import evaluate_thinking_off
from selfimprove.stages.train_candidate import Trained
from selfimprove.storage.averaged import AVERAGED, TRAINED, Averaging, averaging_file
from selfimprove.storage.hashes import keep_hashes, require_folder_unchanged
from selfimprove.storage.keep import keep
from selfimprove.storage.stopwatch import Stopwatch


def try_candidates(
    context: RunContext, trained: Trained, start: Checkpoint, past: Sequence[GenerationReport], watch: Stopwatch, number: int
) -> dict[str, TriedCandidate]:
    """The trained candidate and, with `Workflow.average`, its average with `start`: each measured alike, and what gate and guards say of it.

    Both are evaluated in one session of the engine: the trained one in the folder of the generation, the other in `averaged/`.
    """
    workflow, folder, label = context.workflow, context.run.generation(number), f"generation {number}"
    candidates = {TRAINED: (trained.checkpoint, folder, label)}
    if workflow.average is not None:
        with watch.time(Stage.TRAIN):
            averaged = average(context, start, trained.checkpoint, folder / AVERAGED, workflow.average)
        candidates[AVERAGED] = averaged, folder / AVERAGED, f"{label} averaged"
    drifts = {name: measure_drift(context, checkpoint, place, trained.trainer, watch) for name, (checkpoint, place, _) in candidates.items()}
    tried = {}
    with watch.time(Stage.EVALUATE):
        for name, (checkpoint, place, called) in candidates.items():
            score = evaluate(context, checkpoint, place / "evaluation", f"{called}, evaluation")
            attempts = first_attempts(context, place / "evaluation")
            guards = evaluate_guards(context, checkpoint, place, called, past[0].guards)
            decision, refused = workflow.gate.decide(past[-1].kept_score, score), refusals(guards)
            why = redact("; ".join(filter(None, [decision.why, refused])))
            off = evaluate_thinking_off(context, checkpoint, place, called)
            tried[name] = TriedCandidate(checkpoint, score, decision.promote and not refused, why, guards, drifts[name], attempts, off)
    return tried


def best(tried: Mapping[str, TriedCandidate]) -> str:
    """The name of the candidate that the generation goes on with.

    Of those that gate and guards let through, the one with the higher score; where they let none through, the same of all. Of equals it is the
    averaged one, which is nearer to the start.
    """
    return max(tried, key=lambda name: (tried[name].promote, tried[name].score.pass_at_1, name == AVERAGED))


def average(context: RunContext, start: Checkpoint, trained: Checkpoint, folder: Path, share: float) -> Checkpoint:
    """The average of a trained model with the model that its training started from, made once.

    Args:
        folder: Gets `checkpoint/` and `averaging.json`.
        share: The share of `start`.

    Raises:
        UserError: A weight of the trained model is missing in `start`.
    """
    into, start = folder / "checkpoint", context.here(start)
    made_from = {
        "start": start.weights_hash,
        "weights": trained.weights_hash,
        "tokenizer and chat template": trained.tokenizer_hash,
        "average": str(share),
    }

    def make() -> Averaging:
        tensors = average_weights(Path(start.path), Path(trained.path), share, into)
        keep_hashes(into)
        context.progress.say(f"{trained.id}: {tensors} weights averaged with those of {start.id}, {share:g} of them and {1 - share:g} of its own")
        return Averaging(share, tensors)

    keep(averaging_file(folder), Averaging, made_from, make)
    context.run.settle()
    require_folder_unchanged(into)
    return describe_folder(into, f"{trained.id}-{AVERAGED}", trained.parent_id, trained.generation)
