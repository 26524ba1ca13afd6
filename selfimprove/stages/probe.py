"""Probe: what each thought of a sampled trace was worth, measured by answers after a truncated thinking."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from selfimprove.checkpoints.tokens import decoder, encoder
from selfimprove.errors import UserError
from selfimprove.protocols import Prompter
from selfimprove.records import Checkpoint, JudgedTrace, Outcome, Probe, Request
from selfimprove.seeds import derive_seed
from selfimprove.settings.paths import describe
from selfimprove.stages.annotate import Probes
from selfimprove.stages.context import RunContext
from selfimprove.stages.sample import sample
from selfimprove.storage.files import read_records
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest
from selfimprove.storage.shards import JudgedShards
from selfimprove.thinking.traces import parsed
from selfimprove.thinking.under_thinking import ThinkingProbe, answered, probe_requests


def probe(
    context: RunContext, rule: ThinkingProbe, checkpoint: Checkpoint, shards: JudgedShards, prompter: Prompter, folder: Path, label: str
) -> Probes:
    """Probe a draw of a stage's traces with the checkpoint that wrote them, by truncating their thinking after each thought.

    `prompter` is the one that the traces were sampled with. `probes.parquet` in `folder` keeps the result.

    Raises:
        UserError: The checkpoint's tokenizer cannot be read apart from its model.
    """
    made_from = {
        "probe": digest([describe(rule), context.workflow.seed]),
        "weights": checkpoint.weights_hash,
        "tokenizer and chat template": checkpoint.tokenizer_hash,
    }
    keep(folder / "probes.parquet", list[Probe], made_from, lambda: _probed(context, rule, checkpoint, shards, prompter, folder, label))
    return read_probes(folder)


def _probed(
    context: RunContext, rule: ThinkingProbe, checkpoint: Checkpoint, shards: JudgedShards, prompter: Prompter, folder: Path, label: str
) -> list[Probe]:
    decode, encode = decoder(checkpoint.path), encoder(checkpoint.path)
    if decode is None or encode is None:
        raise UserError(f"{checkpoint.path} has no tokenizer.json: probing has to know where thoughts end in tokens; save a fast tokenizer there")
    problems = context.known
    drawn = draw(shards.read(), rule.wrong, rule.correct, derive_seed(context.workflow.seed, "probe", folder.name))
    planned: list[tuple[Probe, list[Request]]] = []
    for trace in (item.trace for item in shards.read() if item.trace.id in drawn):
        messages = prompter.messages(problems[trace.problem_id])
        planned += probe_requests(trace, messages, rule, decode, encode, context.workflow.seed)
    requests = [request for _, asked in planned for request in asked]
    answers: Iterable[JudgedTrace] = ()
    if requests:
        asked_of = [problems[name] for name in dict.fromkeys(request.problem_id for request in requests)]
        answers = sample(context, checkpoint, requests, asked_of, folder / "probes", label).read()
    probes = answered((probe for probe, _ in planned), answers)
    return [probe for of_trace in probes.values() for probe in of_trace]


def read_probes(folder: Path) -> Probes:
    """The probes of a generation, by trace id; empty where nothing was probed."""
    file = folder / "probes.parquet"
    found: dict[str, list[Probe]] = {}
    for one in read_records(file, Probe) if file.exists() else ():
        found.setdefault(one.trace_id, []).append(one)
    return {trace: tuple(probes) for trace, probes in found.items()}


def draw(judged: Iterable[JudgedTrace], wrong: int | None, correct: int | None, seed: int) -> set[str]:
    """The ids of so many traces without a right answer, and so many with one, of those that think; None for all."""
    ids: dict[bool, list[str]] = {True: [], False: []}
    for item in judged:
        if (parsed(item.trace).thinking or "").strip():
            ids[item.verdict.outcome is Outcome.CORRECT].append(item.trace.id)
    return {
        name
        for right, most in ((True, correct), (False, wrong))
        for name in random.Random(seed).sample(ids[right], len(ids[right]) if most is None else min(most, len(ids[right])))
    }
