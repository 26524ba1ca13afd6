"""What `check` finds out about the verifier: reference answers, guesses, confinement and exemplars."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from selfimprove.commands.finding import Finding
from selfimprove.errors import Unavailable, UserError
from selfimprove.problems.split import question_key
from selfimprove.prompting.chat import FewShot
from selfimprove.prompting.options import question_with_options
from selfimprove.protocols import Confinement, Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.records.delimiters import Delimiters
from selfimprove.thinking.traces import parse
from selfimprove.verification.nonsense import SAMPLE, Guess, accepted_guesses
from selfimprove.verification.pool import OpenVerifierPool, VerifierPool
from selfimprove.verification.reference_check import rejected_references
from selfimprove.verification.report import Report
from selfimprove.workflow.workflow import Workflow


def verifier_findings(workflow: Workflow, problems: Sequence[Problem], eval_problems: Sequence[Problem]) -> Iterator[Finding]:
    """Whether the verifier loads, accepts the reference answers and exemplars, and accepts no answer without a thought."""
    try:
        pool = workflow.verifiers.open()
    except UserError as error:
        yield Finding("verifier", False, str(error))
        return
    try:
        yield Finding("confinement", True, _confinement(workflow.verifier.confinement))
        everything = [*problems, *eval_problems]
        answered = [problem for problem in everything if problem.answer]
        if answered:
            tried = _tried(workflow.verifier, answered)
            yield _references(workflow.verifier.name, rejected_references(pool, tried), len(tried), len(answered))
        yield _guesses(workflow.verifier.name, accepted_guesses(pool, answered if workflow.verifier.needs_reference else everything))
        if isinstance(workflow.first_prompter, FewShot):
            yield _exemplars(workflow.first_prompter, workflow.delimiters, pool, problems, eval_problems)
    except Unavailable as error:
        yield Finding("verifier", False, str(error))
    finally:
        pool.close()


def further_findings(workflow: Workflow, eval_problems: Sequence[Problem]) -> Iterator[Finding]:
    """Whether each further verifier loads and accepts the reference answers of the evaluation problems."""
    for pool in workflow.further_verifiers:
        yield fitting_finding(f"also {pool.verifier.name}", pool, eval_problems, "remove it from also")


def fitting_finding(name: str, pool: VerifierPool, problems: Sequence[Problem], remedy: str) -> Finding:
    """Whether a verifier loads and accepts the reference answers of these problems; `remedy` says what to change if it does not."""
    try:
        opened = pool.open()
    except UserError as error:
        return Finding(name, False, str(error))
    try:
        answered = [problem for problem in problems if problem.answer]
        tried = _tried(pool.verifier, answered)
        found = _references(pool.verifier.name, rejected_references(opened, tried), len(tried), len(answered))
        return Finding(name, found.passed, found.detail if found.passed else f"{found.detail}; it does not fit these problems: {remedy}")
    except Unavailable as error:
        return Finding(name, False, str(error))
    finally:
        opened.close()


def _tried(verifier: Verifier, answered: Sequence[Problem]) -> Sequence[Problem]:
    """The problems whose reference answers are tried: a sample where each is a request to a server."""
    return random.Random(0).sample(answered, min(SAMPLE, len(answered))) if verifier.confinement.network else answered


def _references(verifier: str, rejected: Sequence[tuple[Problem, Report]], tried: int, answered: int) -> Finding:
    """Whether the verifier accepts the reference answers."""
    if not rejected:
        detail = f"{verifier} accepts all {tried} reference answers"
        return Finding("references", True, detail if tried == answered else f"{detail} that it was asked about, of {answered}")
    problem, report = rejected[0]
    detail = f"{len(rejected)} of {tried} reference answers are not accepted; first: {problem.id}, {problem.answer!r} is {report}"
    return Finding("references", False, detail)


def _guesses(verifier: str, guesses: Sequence[Guess]) -> Finding:
    """Whether the verifier accepts answers without a thought."""
    refused = [guess for guess in guesses if guess.refused]
    told = ", ".join(f"{guess.answer} for {guess.accepted} of {guess.tried} problems" for guess in refused or guesses)
    if refused:
        return Finding("guesses", False, f"{verifier} accepts {told}; use another verifier or other problems, since a model would learn such answers")
    return Finding("guesses", True, f"{verifier} accepts {told}: no more than guessing gives" if guesses else f"{verifier} accepts no nonsense")


def _confinement(declared: Confinement) -> str:
    """What the verifier may do besides computing."""
    if declared.when == "never":
        return "the verifier is not confined: it runs with your rights"
    may = {
        "read files": declared.read,
        f"write in {' and '.join(declared.write)}": declared.write,
        "write in a temporary folder": declared.scratch,
        "use the network": declared.network,
        "start programs": declared.processes,
    }
    allowed = [what for what, declares in may.items() if declares] + [f"see {name}" for name in declared.environment]
    return f"the verifier may {', '.join(allowed)}" if allowed else "the verifier may only compute"


def _exemplars(
    prompter: FewShot, delimiters: Delimiters, pool: OpenVerifierPool, problems: Sequence[Problem], eval_problems: Sequence[Problem]
) -> Finding:
    """Whether exemplars parse as traces, verify, and are not evaluation problems."""
    evaluation = {question_key(asked) for problem in eval_problems for asked in (problem.question, question_with_options(problem))}
    known = {question_key(asked): problem for problem in problems for asked in (problem.question, question_with_options(problem))}
    for number, exemplar in enumerate(prompter.exemplars, start=1):
        parsed = parse(exemplar.completion(prompter.delimiters), delimiters)
        if parsed.flags or parsed.answer is None:
            return Finding("exemplars", False, f"exemplar {number} does not parse as a trace: {', '.join(sorted(parsed.flags)) or 'no answer'}")
        if question_key(exemplar.question) in evaluation:
            return Finding("exemplars", False, f"exemplar {number} is an evaluation problem: take another")
        # A problem with the same question has the reference. Without one, the exemplar's own answer is the reference, and the first problem gives
        # the metadata that the verifier may need.
        model = known.get(question_key(exemplar.question), problems[0])
        reference = model.answer if question_key(exemplar.question) in known else exemplar.answer
        problem = Problem(f"exemplar-{number}", exemplar.question, reference, "exemplar", model.metadata)
        (report,) = pool.reports([(problem, parsed.answer)])
        if report.outcome is not Outcome.CORRECT:
            return Finding("exemplars", False, f"exemplar {number}: the verifier finds its answer {parsed.answer!r} {report}")
    return Finding("exemplars", True, f"all {len(prompter.exemplars)} verify; none is an evaluation problem")
