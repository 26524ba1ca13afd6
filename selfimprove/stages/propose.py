"""Propose: ask the champion for new questions, and keep those whose answers agree neither too little nor too much."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from selfimprove.checkpoints.tokens import special_tokens
from selfimprove.problems.proposed import longest_question, read_question
from selfimprove.problems.split import question_key
from selfimprove.protocols import Prompter, Resources
from selfimprove.records import Checkpoint, JudgedTrace, Outcome, Problem, ProposalFigures, ProposedQuestion, Request, Trace
from selfimprove.sampling.sampling import requests_for
from selfimprove.seeds import derive_seed
from selfimprove.selection.keep_majority import folded, majority
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.stages.general import gives_away, measured_questions
from selfimprove.stages.sample import sample
from selfimprove.storage.files import read_records
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest
from selfimprove.storage.shards import stored
from selfimprove.verification.exact import Exact
from selfimprove.verification.pool import VerifierPool
from selfimprove.verification.stream import stream_verdicts
from selfimprove.workflow.proposer import Proposer
from selfimprove.workflow.roles import CHECKER, PROPOSALS

FOLDER = "proposed"
"""Folder of a generation with the questions that were proposed for it, and their answers."""
QUESTIONS = "questions.parquet"
"""File in it with every question and what became of it."""


@dataclass(frozen=True)
class Proposed:
    """The problems that were proposed for a generation."""

    problems: Sequence[Problem] = ()
    """Kept questions, each with its label in place of a reference answer."""
    figures: ProposalFigures | None = None
    """None where none were asked for."""
    tokens: int = 0
    """Tokens sampled for questions and answers."""


def propose(context: RunContext, champion: Checkpoint, prompter: Prompter, number: int) -> Proposed:
    """The problems that this champion proposes for generation `number`; none where the workflow asks for none.

    Args:
        prompter: How the champion is asked for the answers.
    """
    rule = context.workflow.proposer
    if rule is None or number < rule.first:
        return Proposed()
    folder = context.run.generation(number) / FOLDER
    asked = dict(_asked(context, rule, number))
    known = _known(context, number)
    made_from = {
        "proposer": digest([describe(rule), rule.checker.version if rule.checker else None]),
        "requests": digest(asked.values()),
        "known questions": digest(sorted(known)),
        "sampling": digest([describe(context.workflow.sampling), describe(prompter)]),
        "weights": champion.weights_hash,
        "tokenizer and chat template": champion.tokenizer_hash,
        "verifier": digest([describe(context.workflow.verifier), context.workflow.verifier.version, context.workflow.verifier_deadline]),
    }

    def make() -> list[ProposedQuestion]:
        unsolved = [Problem(name, rule.request, "", FOLDER) for name in asked]
        label = f"generation {number}, proposing questions"
        written = _sampled(context, champion, list(asked.values()), unsolved, folder / "asked", label)
        questions = list(_read(context, rule, champion, (item.trace for item in written), known))
        questions = _answered(context, rule, champion, questions, prompter, number, folder / "answered")
        return _checked(context, rule, _verified(context, questions, number), number)

    questions = keep(folder / QUESTIONS, list[ProposedQuestion], made_from, make)
    found = count(questions, rule.checker is not None)
    context.progress.say(f"generation {number}: {found.kept} of {found.proposed} proposed questions are kept")
    tokens = sum(item.trace.output_tokens for name in ("asked", "answered") for item in stored(folder / name))
    kept = [as_problem(one, number) for one in questions if one.dropped is None]
    return Proposed(kept, found, tokens)


def as_problem(one: ProposedQuestion, number: int) -> Problem:
    """A question as a problem of generation `number`. Its id follows from its question, so that no other question can have it."""
    name = hashlib.sha256(question_key(one.question).encode()).hexdigest()[:16]
    metadata = {} if one.agreement is None else {"agreement": one.agreement}
    return Problem(f"{FOLDER}-{name}", one.question, one.label or "", f"{FOLDER}:generation-{number}", metadata)


def count(questions: Sequence[ProposedQuestion], checked: bool) -> ProposalFigures:
    """The figures of these questions; `checked` says whether there is a checker."""
    reasons, kept = [one.dropped for one in questions if one.dropped], [one for one in questions if not one.dropped]
    judged = [one.label_right for one in kept if one.label_right is not None]
    return ProposalFigures(
        proposed=len(questions),
        dropped={reason: reasons.count(reason) for reason in sorted(set(reasons))},
        kept=len(kept),
        agreement=_mean_agreement(questions),
        agreement_kept=_mean_agreement(kept),
        checked=len(judged) if checked else None,
        falsely_labelled=judged.count(False) if checked else None,
    )


def _mean_agreement(questions: Sequence[ProposedQuestion]) -> float | None:
    found = [one.agreement for one in questions if one.agreement is not None]
    return sum(found) / len(found) if found else None


def _asked(context: RunContext, rule: Proposer, number: int) -> Iterator[tuple[str, Request]]:
    """The requests for questions, each by the name of its place, with given questions of its own."""
    workflow, given = context.workflow, context.problems
    sampling = replace(
        workflow.sampling,
        n=1,
        temperature=rule.temperature,
        max_tokens=rule.max_tokens or workflow.sampling.max_tokens,
        budget=None,
        switch_penalty=None,
    )
    for place in range(rule.questions):
        name = f"proposal-{place}"
        shown = random.Random(derive_seed(workflow.seed, FOLDER, number, place)).sample(list(given), min(rule.shown, len(given)))
        problem = Problem(name, rule.request, "", FOLDER)
        (request,) = sampling.requests([problem], {name: rule.messages(shown)}, f"g{number}", workflow.seed, workflow.delimiters)
        yield name, request


def _known(context: RunContext, number: int) -> set[str]:
    """The given questions, and those that were kept for earlier generations."""
    files = [context.run.generation(past) / FOLDER / QUESTIONS for past in range(1, number)]
    earlier = [one for file in files if file.exists() for one in read_records(file, ProposedQuestion) if one.dropped is None]
    return {question_key(text) for text in (*(one.question for one in context.problems), *(one.question for one in earlier))}


def _sampled(
    context: RunContext, champion: Checkpoint, requests: Sequence[Request], problems: Sequence[Problem], folder: Path, label: str
) -> list[JudgedTrace]:
    """A trace for each request. No verifier sees it, since these problems have no reference answer yet and `Exact` needs one."""
    workflow = replace(context.workflow, verifier=Exact(), verifier_resources=Resources(cpus=0, gpus=0))
    unjudged = replace(context, workflow=workflow, verifier_role=PROPOSALS)
    return list(sample(unjudged, champion, requests, problems, folder, label).read())


def _read(context: RunContext, rule: Proposer, champion: Checkpoint, traces: Iterator[Trace], known: Collection[str]) -> Iterator[ProposedQuestion]:
    """The question in each trace, dropped where it is malformed, known or contaminated."""
    marks = special_tokens(champion.path) | {context.workflow.delimiters.begin, context.workflow.delimiters.end}
    longest, seen, measured = longest_question(context.problems), set(known), measured_questions(context)
    for trace in traces:
        question, reason = read_question(trace, longest, marks, rule.form)
        key = question_key(question)
        if reason is None:
            if key in known:
                reason = "known"
            elif key in seen:
                reason = "repeated"
            elif gives_away(Problem(trace.problem_id, question, "", FOLDER), context.eval_index, measured):
                reason = "contaminated"
            seen.add(key)
        yield ProposedQuestion(trace.id, question, reason)


def _answered(
    context: RunContext, rule: Proposer, champion: Checkpoint, questions: Sequence[ProposedQuestion], prompter: Prompter, number: int, folder: Path
) -> list[ProposedQuestion]:
    """The questions with the answer that most samples give, dropped where too few or too many give it."""
    workflow = context.workflow
    problems = {one.trace_id: as_problem(one, number) for one in questions if one.dropped is None}
    sampling = replace(workflow.sampling, n=rule.samples)
    requests = requests_for(list(problems.values()), prompter, sampling, f"g{number}-label", workflow.seed, workflow.delimiters)
    answers: defaultdict[str, list[JudgedTrace]] = defaultdict(list)
    for item in _sampled(context, champion, requests, list(problems.values()), folder, f"generation {number}, answering them"):
        answers[item.trace.problem_id].append(item)
    return [_labelled(rule, one, answers[problems[one.trace_id].id]) if one.trace_id in problems else one for one in questions]


def _labelled(rule: Proposer, one: ProposedQuestion, answers: Sequence[JudgedTrace]) -> ProposedQuestion:
    best, votes = majority(answers)
    label = next((item.verdict.answer for item in answers if best is not None and folded(item) == best), None)
    agreement, (low, high) = votes / rule.samples, rule.agreement
    reason = (
        "no answer"
        if label is None
        else "agreement too low"
        if agreement < low
        else "agreement too high"
        if agreement > high
        else "no majority"
        if agreement < rule.majority
        else None
    )
    return replace(one, label=label, agreement=agreement, dropped=reason)


def _verified(context: RunContext, questions: Sequence[ProposedQuestion], number: int) -> list[ProposedQuestion]:
    """The questions without those whose label the workflow's verifier would not accept as an answer: no trace of theirs could ever be accepted."""
    workflow = context.workflow
    if not workflow.verifier.needs_reference:
        return list(questions)
    outcomes = _outcomes(context, workflow.verifiers, questions, {one.trace_id: as_problem(one, number) for one in questions}, context.verifier_role)
    return [
        replace(one, dropped="refused by the verifier") if outcomes.get(one.trace_id, Outcome.CORRECT) is not Outcome.CORRECT else one for one in questions
    ]


def _checked(context: RunContext, rule: Proposer, questions: Sequence[ProposedQuestion], number: int) -> list[ProposedQuestion]:
    """The questions with what the checker says of their labels, which it is asked for without seeing them as reference answers."""
    if rule.checker is None:
        return list(questions)
    bare = {one.trace_id: replace(as_problem(one, number), answer="", metadata={}) for one in questions}
    outcomes = _outcomes(context, VerifierPool(rule.checker, context.workflow.verifier_deadline), questions, bare, CHECKER)
    said = {Outcome.CORRECT: True, Outcome.WRONG: False}
    return [replace(one, label_right=said.get(outcomes[one.trace_id])) if one.trace_id in outcomes else one for one in questions]


def _outcomes(
    context: RunContext, pool: VerifierPool, questions: Sequence[ProposedQuestion], problems: Mapping[str, Problem], role: str
) -> dict[str, Outcome]:
    """What a verifier says of the labels of the kept questions, by trace id."""
    kept = [one for one in questions if one.dropped is None]
    stated = [Trace(one.trace_id, problems[one.trace_id].id, FOLDER, (), (), one.label or "", (), "stop", 0.0, 0) for one in kept]
    asked = [problems[one.trace_id] for one in kept]
    judged = chain.from_iterable(stream_verdicts(pool, asked, [stated] if stated else [], context.cluster, role))
    return {item.trace.id: item.verdict.outcome for item in judged}
