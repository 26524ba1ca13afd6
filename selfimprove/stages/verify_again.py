"""Verify again: further verifiers judge the traces of an evaluation, which is not sampled again for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from selfimprove.evaluation.scores import score
from selfimprove.records import FurtherScore, JudgedTrace, Verdict
from selfimprove.settings.paths import describe
from selfimprove.stages.annotate import FurtherVerdicts
from selfimprove.stages.context import RunContext
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.further import further_folder
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest
from selfimprove.storage.shards import shards
from selfimprove.verification.pool import VerifierPool
from selfimprove.verification.stream import stream_verdicts
from selfimprove.workflow.roles import further_roles


def verify_again(context: RunContext, checkpoint_id: str, folder: Path, label: str | None = None) -> None:
    """Judge the traces of a complete evaluation with the verifiers of `Workflow.also`.

    Each leaves `also/<verifier>/` in `folder`, with its verdicts in shards and `score.json`; what is there already stays.

    Args:
        checkpoint_id: The checkpoint that wrote the traces.
        folder: The folder of the evaluation.
        label: Name of the evaluation in the progress display; None for the folder's name.
    """
    for role, pool in further_roles(context.workflow):
        _verify(context, pool, role, checkpoint_id, folder, f"{label or folder.name}, {pool.verifier.name}")


def _verify(context: RunContext, pool: VerifierPool, role: str, checkpoint_id: str, folder: Path, label: str) -> None:
    place, verifier = further_folder(folder, pool.verifier.name), pool.verifier
    made_from = {
        **read_json(folder / "score.manifest.json", dict[str, str]),
        "verifier": digest([describe(verifier), verifier.version, pool.deadline]),
    }

    def make() -> FurtherScore:
        context.progress.begin(label, 0)
        judged: list[JudgedTrace] = []
        for number, shard in enumerate(shards(folder)):
            file = place / f"shard-{number:05d}.parquet"
            verdicts = keep(file, list[Verdict], made_from, lambda shard=shard: _verdicts(context, pool, role, shard))  # type: ignore[misc]
            judged += [JudgedTrace(item.trace, verdict) for item, verdict in zip(shard, verdicts, strict=True)]
            context.progress.advance(len(shard), total=len(judged))
        context.progress.end()
        return FurtherScore(verifier.name, verifier.version, score(checkpoint_id, judged))

    keep(place / "score.json", FurtherScore, made_from, make)
    context.run.settle()


def _verdicts(context: RunContext, pool: VerifierPool, role: str, shard: Sequence[JudgedTrace]) -> list[Verdict]:
    verified = stream_verdicts(pool, [*context.eval_problems, *context.test_problems], [[item.trace for item in shard]], context.cluster, role)
    found = {item.trace.id: item.verdict for item in chain.from_iterable(verified)}
    return [found[item.trace.id] for item in shard]


def read_further(folder: Path) -> FurtherVerdicts:
    """The verdicts of further verifiers on the traces of an evaluation, by trace id; empty where there are none."""
    found: dict[str, list[Verdict]] = {}
    for file in sorted(folder.glob("also/*/shard-*.parquet")):
        for one in read_records(file, Verdict):
            found.setdefault(one.trace_id, []).append(one)
    return {trace: tuple(verdicts) for trace, verdicts in found.items()}
