"""Retry: the model criticises a wrong answer and tries again; attempts that verify train the question, or the critique."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from selfimprove.prompting.hints import leak
from selfimprove.prompting.retry import Retry, asked_again, asked_for_critique
from selfimprove.protocols import Prompter
from selfimprove.records import AcceptedTrace, Checkpoint, JudgedTrace, Outcome, Problem, Request, Selection, Trace
from selfimprove.seeds import derive_seed
from selfimprove.stages.ask_again import AskedAgain
from selfimprove.stages.context import RunContext
from selfimprove.stages.sample import sample
from selfimprove.stages.select import decontaminate, select
from selfimprove.thinking.traces import parsed

RETRIED = "retried"
"""Origin of such rows."""
AGAIN = "/again"
"""Stands between the id of a critique and the sample of the attempt after it."""


def retry(
    context: RunContext,
    rule: Retry,
    champion: Checkpoint,
    judged: Iterable[JudgedTrace],
    unsolved: Sequence[Problem],
    prompter: Prompter,
    folder: Path,
    number: int,
) -> AskedAgain:
    """Rows of the attempts that verify after a critique. Problems without a wrong answer to criticise are left alone.

    Args:
        judged: The traces of the generation.
        unsolved: The problems that none of them solves.
        folder: Gets `critiques/` and `retried/`, each with traces and verdicts.
    """
    asked = _critique_requests(context, rule, judged, unsolved, prompter, number)
    if not asked:
        return AskedAgain(RETRIED)
    concerned = [problem for problem in unsolved if problem.id in {request.problem_id for request in asked.values()}]
    label = f"generation {number}, "
    shards = sample(context, champion, list(asked.values()), concerned, folder / "critiques", f"{label}criticising")
    critiques = {item.trace.id: item.trace for item in shards.read()}
    attempts = _attempt_requests(context, rule, asked, critiques, concerned)
    again = sample(context, champion, attempts, concerned, folder / RETRIED, f"{label}retrying")
    found = select(context, again.read(), concerned, number)
    drops = Counter({f"{RETRIED}: {name}": count for name, count in found.drops.items()})
    if rule.trains == "critique":
        led = [critiques[row.trace_id.rpartition(f"{AGAIN}/")[0]] for row in found.accepted]
        found = decontaminate(context, Selection(tuple(_as_row(asked[one.id], one, number) for one in led), {}))
        kept = found.accepted
        drops.update({f"{RETRIED}: {name}": count for name, count in found.drops.items()})
    else:
        texts, problems = {item.trace.id: item.trace.text for item in again.read()}, {problem.id: problem for problem in concerned}
        whole = (row for row in found.accepted if leak(rule.leaks, problems[row.problem_id], texts[row.trace_id]) is None)
        kept = tuple(replace(row, origin=RETRIED) for row in whole)
        drops[f"{RETRIED}: leak"] += len(found.accepted) - len(kept)
    selection = Selection(kept, {reason: count for reason, count in drops.items() if count})
    return AskedAgain(RETRIED, selection, len(concerned), len(attempts), rule.share, derive_seed(context.workflow.seed, RETRIED, number))


def _critique_requests(
    context: RunContext, rule: Retry, judged: Iterable[JudgedTrace], unsolved: Sequence[Problem], prompter: Prompter, number: int
) -> dict[str, Request]:
    """A request for each critique, by its id."""
    wrong: dict[str, list[JudgedTrace]] = defaultdict(list)
    for item in sorted(judged, key=lambda item: item.trace.id):
        if item.verdict.outcome is Outcome.WRONG and parsed(item.trace).answer:
            wrong[item.trace.problem_id].append(item)
    workflow, requests = context.workflow, dict[str, Request]()
    decoding = replace(workflow.sampling, n=1, budget=None)
    for problem in unsolved:
        tried = wrong[problem.id]
        for attempt in range(rule.samples if tried else 0):
            item = tried[attempt % len(tried)]
            chat = asked_for_critique(rule, prompter.messages(problem), parsed(item.trace).answer or "", item.verdict.outcome.value)
            namespace = f"g{number}-critique-{attempt}"
            requests |= {one.id: one for one in decoding.requests([problem], {problem.id: chat}, namespace, workflow.seed, workflow.delimiters)}
    return requests


def _attempt_requests(
    context: RunContext, rule: Retry, asked: dict[str, Request], critiques: dict[str, Trace], problems: Sequence[Problem]
) -> list[Request]:
    """A request for another attempt after each critique that says something."""
    workflow, of_id = context.workflow, {problem.id: problem for problem in problems}
    rates, attempts = context.rates(problems), list[Request]()
    for name, request in asked.items():
        if text := parsed(critiques[name]).answer:
            problem = of_id[request.problem_id]
            chat = {problem.id: asked_again(rule, request.messages, text)}
            namespace = f"{name.removeprefix(f'{problem.id}/')}{AGAIN}"
            decoding = replace(workflow.sampling, n=1)
            attempts += decoding.requests([problem], chat, namespace, workflow.seed, workflow.delimiters, rates)
    return attempts


def _as_row(request: Request, critique: Trace, number: int) -> AcceptedTrace:
    ids = critique.output_token_ids
    return AcceptedTrace(critique.id, critique.problem_id, request.messages, critique.text, RETRIED, number, ids, critique.forced)
