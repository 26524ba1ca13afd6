"""What `check` finds out about the guards: reference answers, options, and the smallest loss that each can refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from selfimprove.commands.finding import Finding
from selfimprove.commands.shown_options import hidden_options
from selfimprove.commands.verifier_findings import fitting_finding
from selfimprove.evaluation.paired import smallest_improvement
from selfimprove.records import Problem
from selfimprove.records.options import options_of
from selfimprove.verification.pool import VerifierPool
from selfimprove.workflow.workflow import Workflow


def guard_findings(workflow: Workflow, problems: Mapping[str, Sequence[Problem]]) -> Iterator[Finding]:
    """Whether each guard's verifier fits its problems, its prompter shows their options, and it can refuse anything."""
    for name, guard in workflow.guards.items():
        called = f"guard {name}"
        found = fitting_finding(called, VerifierPool(guard.verifier, workflow.verifier_deadline), problems[name], "give the guard another verifier")
        if any(map(options_of, problems[name])) and (hidden := hidden_options([guard.prompter or workflow.prompter], problems[name])):
            yield Finding(called, False, f"{hidden}; show them with selfimprove.prompting.options.question_with_options")
        seen, told = _power(len(problems[name]), guard.margin)
        yield replace(found, passed=found.passed and seen, detail=f"{found.detail}; {told}")


def _power(problems: int, margin: float) -> tuple[bool, str]:
    """Whether a guard of this size can refuse anything, and from which loss on it does."""
    # A loss is tested like an improvement.
    counts, likely = smallest_improvement(problems)
    if counts > 1:
        return False, f"{problems} problems are too few to tell a loss from chance: give at least 5, better 100"
    bound = f"from {counts:.3f} on" if counts > margin else f"above {margin:.3f}"
    smallest = f"{problems} problems: with one sample each, it refuses losses {bound}"
    power = max(likely, margin)
    return True, f"{smallest}; one of {power:.3f} is detected four times in five" if likely <= 1 else f"{smallest}; no loss is detected reliably"
