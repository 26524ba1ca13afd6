"""Propose: ask the champion for new questions, and keep those whose answers agree neither too little nor too much."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from selfimprove.checkpoints.tokens import special_tokens
from selfimprove.problems.proposed import PROPOSED, as_problem, longest_question, read_question
from selfimprove.problems.split import question_key
from selfimprove.protocols import Prompter, Resources
from selfimprove.records import AcceptedTrace, Checkpoint, JudgedTrace, Outcome, Problem, ProposalFigures, ProposedQuestion, Request, Trace
from selfimprove.sampling.sampling import requests_for
from selfimprove.seeds import derive_seed
from selfimprove.selection.keep_majority import folded, majority
from selfimprove.settings.paths import describe
from selfimprove.stages.collect import student_prompter
from selfimprove.stages.context import RunContext
from selfimprove.stages.draw import drawn_from
from selfimprove.stages.general import gives_away, measured_questions
from selfimprove.stages.sample import sample
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest
from selfimprove.storage.proposed import kept_questions, questions_file
from selfimprove.storage.shards import stored
from selfimprove.verification.exact import Exact
from selfimprove.verification.pool import VerifierPool
from selfimprove.verification.stream import stream_verdicts
from selfimprove.workflow.proposer import Proposer
from selfimprove.workflow.roles import CHECKER, PROPOSALS


@dataclass(frozen=True)
class Proposed:
    """What the champion proposed for a generation."""

    questions: Sequence[ProposedQuestion] = ()
    """Kept and dropped ones; empty where none were asked for."""
    generation: int = 0
    tokens: int = 0
    """Tokens sampled for questions and answers."""
    checked: bool = False
    """Whether there is a checker."""

    def figures(self, accepted: Sequence[AcceptedTrace] = ()) -> ProposalFigures | None:
        """Figures for the report, with the accepted traces of kept questions; None where none were asked for."""
        if not self.questions:
            return None
        kept = {as_problem(one, self.generation).id: one for one in self.questions if one.dropped is None}
        judged = [one.label_right for one in kept.values() if one.label_right is not None]
        rows = [kept[row.problem_id] for row in accepted if row.problem_id in kept]
        return ProposalFigures(
            proposed=len(self.questions),
            dropped=dict(sorted(Counter(one.dropped for one in self.questions if one.dropped).items())),
            kept=len(kept),
            agreement=_mean_agreement(self.questions),
            agreement_kept=_mean_agreement(kept.values()),
            checked=len(judged) if self.checked else None,
            falsely_labelled=judged.count(False) if self.checked else None,
            accepted=len(rows),
            accepted_falsely=sum(one.label_right is False for one in rows) if self.checked else None,
        )


def _mean_agreement(questions: Iterable[ProposedQuestion]) -> float | None:
    found = [one.agreement for one in questions if one.agreement is not None]
    return sum(found) / len(found) if found else None


def propose(context: RunContext, rule: Proposer, champion: Checkpoint, number: int) -> Proposed:
    """Let the champion propose problems for generation `number`, which `stages.draw.draw` then finds in `proposed/questions.parquet`."""
    prompter, file = student_prompter(context.workflow, number), questions_file(context.run.generation(number))
    folder, asked, known = file.parent, dict(_asked(context, rule, number)), _known(context, number)
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
        unsolved = [Problem(name, rule.request, "", PROPOSED) for name in asked]
        label = f"generation {number}, proposing questions"
        written = _sampled(context, champion, list(asked.values()), unsolved, folder / "asked", label)
        questions = list(_read(context, rule, champion, (item.trace for item in written), known, number))
        questions = _answered(context, rule, champion, questions, prompter, number, folder / "answered")
        return _checked(context, rule, _verified(context, questions, number), number)

    questions = keep(file, list[ProposedQuestion], made_from, make)
    tokens = sum(item.trace.output_tokens for name in ("asked", "answered") for item in stored(folder / name))
    kept = sum(one.dropped is None for one in questions)
    context.progress.say(f"generation {number}: {kept} of {len(questions)} proposed questions are kept")
    return Proposed(questions, number, tokens, rule.checker is not None)


def _asked(context: RunContext, rule: Proposer, number: int) -> Iterator[tuple[str, Request]]:
    """The requests for questions, each by the name of its place, with given questions of its own."""
    workflow, given = context.workflow, drawn_from(context, number)
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
        shown = random.Random(derive_seed(workflow.seed, PROPOSED, number, place)).sample(list(given), min(rule.shown, len(given)))
        problem = Problem(name, rule.request, "", PROPOSED)
        (request,) = sampling.requests([problem], {name: rule.messages(shown)}, f"g{number}", workflow.seed, workflow.delimiters)
        yield name, request


def _known(context: RunContext, number: int) -> set[str]:
    """The given questions, and those that were kept for earlier generations."""
    own = chain(*context.run.own_problems().values(), context.problems)
    earlier = chain.from_iterable(kept_questions(context.run.generation(past)) for past in range(1, number))
    return {question_key(one.question) for one in own} | {question_key(one.question) for one in earlier}


def _sampled(
    context: RunContext, champion: Checkpoint, requests: Sequence[Request], problems: Sequence[Problem], folder: Path, label: str
) -> list[JudgedTrace]:
    """A trace for each request. No verifier sees it: these problems have no reference answer yet, and one that needs none gives way to `Exact`."""
    workflow = context.workflow
    if not workflow.verifier.needs_reference:
        workflow = replace(workflow, verifier=Exact(), verifier_resources=Resources(cpus=0, gpus=0))
        context = replace(context, workflow=workflow, verifier_role=PROPOSALS)
    return list(sample(context, champion, requests, problems, folder, label).read())


def _read(
    context: RunContext, rule: Proposer, champion: Checkpoint, traces: Iterable[Trace], known: Collection[str], number: int
) -> Iterator[ProposedQuestion]:
    """The question in each trace, dropped where it is malformed, known or contaminated."""
    marks = special_tokens(champion.path) | {context.workflow.delimiters.begin, context.workflow.delimiters.end}
    longest, seen, measured = longest_question(drawn_from(context, number)), set(known), measured_questions(context)
    for trace in traces:
        question, reason = read_question(trace, longest, marks, rule.form)
        key = question_key(question)
        if reason is None:
            if key in known:
                reason = "known"
            elif key in seen:
                reason = "repeated"
            elif gives_away(Problem(trace.problem_id, question, "", PROPOSED), context.eval_index, measured):
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
    problems = {one.trace_id: as_problem(one, number) for one in questions}
    outcomes = _outcomes(context, workflow.verifiers, questions, problems, context.verifier_role)
    refused = {name for name, outcome in outcomes.items() if outcome is not Outcome.CORRECT}
    return [replace(one, dropped="refused by the verifier") if one.trace_id in refused else one for one in questions]


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
    stated = [Trace(one.trace_id, problems[one.trace_id].id, PROPOSED, (), (), one.label or "", (), "stop", 0.0, 0) for one in kept]
    asked = [problems[one.trace_id] for one in kept]
    judged = chain.from_iterable(stream_verdicts(pool, asked, [stated] if stated else [], context.cluster, role))
    return {item.trace.id: item.verdict.outcome for item in judged}
