"""Reflect: rows with revisions and confirmations, made of the traces on disk and verified again."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from selfimprove.checkpoints.tokens import decoder, encoder
from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, AnnotatedTrace, Outcome, Selection, Trace, Verdict
from selfimprove.seeds import derive_seed
from selfimprove.selection.reflection import CONFIRMED, REVISED, Draft, Reflection, drafts
from selfimprove.settings.paths import describe
from selfimprove.stages.annotate import annotate
from selfimprove.stages.context import RunContext
from selfimprove.stages.probe import read_probes
from selfimprove.stages.score_steps import read_rewards
from selfimprove.stages.select import decontaminate
from selfimprove.storage.files import write_records
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest
from selfimprove.storage.shards import stored
from selfimprove.thinking.positions import token_count
from selfimprove.verification.stream import stream_verdicts

FOLDER = "reflected"
"""Folder of a generation with the traces that were made and their verdicts."""


def reflect(context: RunContext, rule: Reflection, selection: Selection, earlier: Sequence[Sequence[AcceptedTrace]], number: int) -> Selection:
    """The selection with revisions and confirmations added, each verified and within its share.

    `reflected/` in the generation's folder keeps all that were made, with their verdicts.

    Args:
        rule: What is made.
        selection: What this generation's selector accepted.
        earlier: The accepted rows of each earlier generation, oldest first.
        number: The generation, whose traces are on disk.

    Raises:
        UserError: The wrong thoughts shall carry no loss, and the base model's tokenizer cannot be read apart from its model.
    """
    made = _made(context, rule, selection, earlier if rule.earlier else (), number)
    verdicts = _verified(context, [trace for _, trace in made], context.run.generation(number) / FOLDER)
    drops, kept = Counter[str](), list[AcceptedTrace]()
    for (draft, trace), verdict in zip(made, verdicts, strict=True):
        reason = _reason_to_drop(context, trace, verdict)
        if reason:
            drops[f"{draft.origin}: {reason}"] += 1
        else:
            forced = () if rule.loss_on_wrong else trace.forced
            kept.append(
                replace(
                    draft.row,
                    trace_id=trace.id,
                    completion=trace.text,
                    origin=draft.origin,
                    generation=number,
                    completion_token_ids=trace.output_token_ids or None,
                    forced=forced,
                )
            )
    clean = decontaminate(context, Selection(tuple(kept), {})).accepted
    rows = list(selection.accepted)
    for origin, share in ((REVISED, rule.revised), (CONFIRMED, rule.confirmed)):
        found = [row for row in clean if row.origin == origin]
        drops[f"{origin}: contaminated"] = sum(row.origin == origin for row in kept) - len(found)
        most = min(len(found), int(len(selection.accepted) * share / (1 - share)))
        drops[f"{origin}: over share"] = len(found) - most
        rows += random.Random(derive_seed(context.workflow.seed, origin, number)).sample(found, most)
    counted = {reason: count for reason, count in drops.items() if count}
    return Selection(tuple(sorted(rows, key=lambda row: row.trace_id)), {**selection.drops, **counted})


def _made(
    context: RunContext, rule: Reflection, selection: Selection, earlier: Sequence[Sequence[AcceptedTrace]], number: int
) -> list[tuple[Draft, Trace]]:
    """The drafts of all problems as traces, ordered by problem."""
    workflow = context.workflow
    right: defaultdict[str, list[AcceptedTrace]] = defaultdict(list)
    for row in chain(*earlier, selection.accepted):
        right[row.problem_id].append(row)
    wrong: defaultdict[str, list[tuple[int, AnnotatedTrace]]] = defaultdict(list)
    taken = {row.trace_id for row in chain(*earlier, selection.accepted)}
    for past in range(1 if earlier else number, number + 1):
        folder = context.run.generation(past)
        for item in annotate(stored(folder), read_probes(folder), read_rewards(folder)):
            # A verdict `wrong` may have been accepted, by partial credit or by a majority.
            if item.verdict.outcome is Outcome.WRONG and item.trace.problem_id in right and item.trace.id not in taken:
                wrong[item.trace.problem_id].append((past, item))
    encode, decode = encoder(context.base.path), decoder(context.base.path)
    if (encode is None or decode is None) and rule.revised and not rule.loss_on_wrong:
        raise UserError(f"{context.base.path} has no tokenizer.json, which tells the tokens of wrong thoughts; set reflection.loss_on_wrong=True")
    made: list[tuple[Draft, Trace]] = []
    for problem in sorted(right):
        counts = Counter[str]()
        seed = derive_seed(workflow.seed, FOLDER, number, problem)
        for draft in drafts(rule, right[problem], wrong[problem], workflow.delimiters, number, seed):
            trace = Trace(
                id=f"{problem}/g{number}-{draft.origin}/s{counts[draft.origin]}",
                problem_id=problem,
                checkpoint_id=FOLDER,
                prompt_token_ids=(),
                output_token_ids=tuple(encode(draft.text)) if encode else (),
                text=draft.text,
                forced=(),
                finish_reason="stop",
                temperature=0.0,
                seed=seed,
                delimiters=workflow.delimiters,
                opened=draft.opened,
            )
            counts[draft.origin] += 1
            if decode and draft.wrong:
                begin, end = (token_count(trace, place, decode) for place in draft.wrong)
                trace = replace(trace, forced=((begin, end),))
            made.append((draft, trace))
    return made


def _verified(context: RunContext, traces: Sequence[Trace], folder: Path) -> list[Verdict]:
    """The verdict of the workflow's verifier on each trace; `folder` keeps both."""
    workflow = context.workflow
    made_from = {
        "traces": digest(traces),
        "verifier": digest([describe(workflow.verifier), workflow.verifier.version, workflow.verifier_deadline]),
    }

    def make() -> list[Verdict]:
        write_records(folder / "traces.parquet", traces, Trace)
        batches = stream_verdicts(workflow.verifiers, context.known.values(), [traces] if traces else [], context.cluster)
        found = {item.trace.id: item.verdict for item in chain.from_iterable(batches)}
        return [found[trace.id] for trace in traces]

    return keep(folder / "verdicts.parquet", list[Verdict], made_from, make)


def _reason_to_drop(context: RunContext, trace: Trace, verdict: Verdict) -> str | None:
    if verdict.outcome is not Outcome.CORRECT:
        return verdict.outcome.value
    most = context.workflow.selector.max_tokens
    return "too long" if most is not None and len(trace.output_token_ids) > most else None
