"""Rationalize: ask unsolved problems again with a hint, and accept rationales that hold without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from selfimprove.checkpoints.tokens import decoder
from selfimprove.errors import UserError
from selfimprove.prompting.hints import Rationalization, hinted, leak
from selfimprove.protocols import Prompter
from selfimprove.records import AcceptedTrace, Checkpoint, Outcome, Problem, Selection
from selfimprove.seeds import derive_seed
from selfimprove.stages.ask_again import AskedAgain
from selfimprove.stages.context import RunContext
from selfimprove.stages.sample import sample
from selfimprove.stages.select import select
from selfimprove.storage.shards import JudgedShards
from selfimprove.thinking.positions import token_count
from selfimprove.thinking.traces import parsed

RATIONALIZED = "rationalized"
"""Origin of such rows, and prefix of the reasons for which such traces are dropped."""


def rationalize(
    context: RunContext, rule: Rationalization, champion: Checkpoint, unsolved: Sequence[Problem], prompter: Prompter, folder: Path, number: int
) -> AskedAgain:
    """Accepted rationales of these problems, as rows with the bare question.

    Raises:
        UserError: Rationales are to be continued from, and the checkpoint's tokenizer cannot be read apart from its model.
    """
    workflow = context.workflow
    decoding = replace(workflow.sampling, n=rule.samples)
    prompts = {problem.id: hinted(prompter, rule, problem) for problem in unsolved}
    requests = list(decoding.requests(unsolved, prompts, f"g{number}-hint", workflow.seed, workflow.delimiters, context.rates(unsolved)))
    label = f"generation {number}, rationalizing"
    shards = sample(context, champion, requests, unsolved, folder / RATIONALIZED, label)
    found = select(context, shards.read(), unsolved, number)
    problems, drops = (
        {problem.id: problem for problem in unsolved},
        Counter({f"{RATIONALIZED}: {name}": count for name, count in found.drops.items()}),
    )
    texts = {item.trace.id: parsed(item.trace).thinking or "" for item in shards.read()}
    kept = [row for row in found.accepted if leak(rule.leaks, problems[row.problem_id], texts[row.trace_id]) is None]
    drops[f"{RATIONALIZED}: leak"] += len(found.accepted) - len(kept)
    if rule.resolve:
        holding = _resolved(context, rule, champion, shards, kept, problems, folder, number)
        drops[f"{RATIONALIZED}: unresolved"] += len(kept) - len(holding)
        kept = holding
    rows = tuple(replace(row, origin=RATIONALIZED) for row in kept)
    selection = Selection(rows, {reason: count for reason, count in drops.items() if count})
    return AskedAgain(RATIONALIZED, selection, len(unsolved), len(requests), rule.share, derive_seed(workflow.seed, RATIONALIZED, number))


def _resolved(
    context: RunContext,
    rule: Rationalization,
    champion: Checkpoint,
    shards: JudgedShards,
    rows: Sequence[AcceptedTrace],
    problems: Mapping[str, Problem],
    folder: Path,
    number: int,
) -> list[AcceptedTrace]:
    """The rationales that lead the model, asked the bare question, to the right answer more often than not."""
    decode = decoder(champion.path)
    if decode is None:
        raise UserError(f"{champion.path} has no tokenizer.json: rationalization cannot continue from a rationale; set its resolve to 0")
    workflow, of_row = context.workflow, {row.trace_id: row for row in rows}
    requests = []
    for trace in (item.trace for item in shards.read() if item.trace.id in of_row):
        answer = len(trace.text) - len(parsed(trace).after.lstrip())
        bare = {trace.problem_id: of_row[trace.id].messages}
        decoding = replace(workflow.sampling, n=rule.resolve)
        asked = decoding.requests([problems[trace.problem_id]], bare, trace.id.partition("/")[2] + "/again", workflow.seed, workflow.delimiters)
        requests += [replace(request, prefix=trace.output_token_ids[: token_count(trace, answer, decode)], budget=None) for request in asked]
    if not requests:
        return []
    concerned = [problems[name] for name in dict.fromkeys(row.problem_id for row in rows)]
    again = sample(context, champion, requests, concerned, folder / "resolved", f"generation {number}, resolving without hints")
    right = Counter(item.trace.id.rpartition("/again/")[0] for item in again.read() if item.verdict.outcome is Outcome.CORRECT)
    return [row for row in rows if 2 * right[row.trace_id] > rule.resolve]
