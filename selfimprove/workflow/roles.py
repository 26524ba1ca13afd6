"""The parts of a workflow by the role that they play on a cluster."""

from __future__ import annotations

from selfimprove.protocols import WorkerPart
from selfimprove.storage.further import further_name
from selfimprove.verification.exact import Exact
from selfimprove.verification.pool import VerifierPool
from selfimprove.workflow.workflow import Workflow

PROPOSALS, CHECKER = "proposals", "checker"
"""Roles of what takes the place of a verifier that would judge proposed questions themselves, and of what checks their labels."""


def roles(workflow: Workflow) -> dict[str, list[WorkerPart]]:
    """Every part that a run of this workflow may open on a worker. A role holds one part at a time; roles that no part plays are left out."""
    generations = [workflow.of_generation(number) for number in range(1, len(workflow.rounds) + 2)]
    teacher, difficulty, proposer = workflow.teacher, workflow.difficulty, workflow.proposer
    # A teacher that has its model here takes the place of the student's engine.
    taught = [teacher.sampler] if teacher and teacher.model else []
    pairs = [one.preference_pairs.trainer for one in generations if one.preference_pairs]
    scorers = [one.process_reward.scorer for one in generations if one.process_reward]
    parts: dict[str, list[WorkerPart | None]] = {
        "sampler": [workflow.sampler, *taught],
        "trainer": [*(one.trainer for one in generations), *pairs, *(one.reinforcement for one in generations)],
        "reward model": [*scorers],
        "embedder": [difficulty.embedder] if difficulty else [],
        "teacher": [teacher.sampler] if teacher and not teacher.model else [],
        "verifier": [workflow.verifiers],
        PROPOSALS: [VerifierPool(Exact(), workflow.verifier_deadline)] if proposer and not workflow.verifier.needs_reference else [],
        CHECKER: [VerifierPool(proposer.checker, workflow.verifier_deadline)] if proposer and proposer.checker else [],
        **{role: [pool] for role, pool in further_roles(workflow)},
        **{guard_role(name): [VerifierPool(guard.verifier, workflow.verifier_deadline)] for name, guard in workflow.guards.items()},
    }
    found = {role: [part for part in several if part is not None] for role, several in parts.items()}
    return {role: several for role, several in found.items() if several}


def further_roles(workflow: Workflow) -> list[tuple[str, VerifierPool]]:
    """The further verifiers, each in a role of its own, so that they and the workflow's verifier stay open beside each other."""
    return [(f"also-{further_name(pool.verifier.name)}", pool) for pool in workflow.further_verifiers]


def guard_role(name: str) -> str:
    """The role of a guard's verifier, which stays open beside the others."""
    return f"guard-{name}"
