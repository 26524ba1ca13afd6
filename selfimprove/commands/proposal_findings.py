"""What `check` finds out about the questions that a model shall propose: their form, the verifier, and the checker."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from selfimprove.commands.finding import Finding
from selfimprove.commands.verifier_findings import fitting_finding
from selfimprove.records import Problem
from selfimprove.verification.pool import VerifierPool
from selfimprove.workflow.proposer import Proposer
from selfimprove.workflow.workflow import Workflow

MOST = 100
"""Given problems that are tried as if a model had proposed them."""


def proposal_findings(workflow: Workflow, problems: Sequence[Problem]) -> Iterator[Finding]:
    """Whether the given problems would pass if the model had proposed them: by form, by the verifier, and by the checker."""
    rule = workflow.proposer
    if rule is None:
        return
    yield _form(rule, problems)
    # A proposed problem has no metadata.
    bare = [replace(problem, metadata={}) for problem in problems[:MOST] if problem.answer]
    if bare and workflow.verifier.needs_reference:
        pool = VerifierPool(workflow.verifier, workflow.verifier_deadline)
        told = "it gets a question and an answer without metadata; take another verifier, such as Exact()"
        found = fitting_finding("proposer", pool, bare, told)
        if not found.passed:
            yield found
    if bare and rule.checker is not None:
        yield fitting_finding("proposer.checker", VerifierPool(rule.checker, workflow.verifier_deadline), bare, "correct it")


def _form(rule: Proposer, problems: Sequence[Problem]) -> Finding:
    told = f"{rule.questions} questions before each generation from {rule.first} on, each answered {rule.samples} times"
    odd = [problem for problem in problems if rule.form is not None and not re.fullmatch(rule.form, problem.question.strip())]
    if rule.form is None:
        return Finding(
            "proposer", True, f"{told}; form=None takes any text for a question: describe the form if the questions have one", warning=True
        )
    if odd:
        return Finding("proposer", False, f"{len(odd)} of {len(problems)} given questions do not match proposer.form, first {odd[0].id}; correct it")
    return Finding("proposer", True, f"{told}; all given questions match proposer.form")
