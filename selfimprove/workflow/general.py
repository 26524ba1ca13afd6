"""The instruction data of a workflow's mixtures."""

from __future__ import annotations

from selfimprove.problems.split import check_problems
from selfimprove.protocols import ProblemSource
from selfimprove.records import Problem
from selfimprove.selection.replay import Replay
from selfimprove.workflow.workflow import Workflow


def mixtures_with_general(workflow: Workflow) -> list[Replay]:
    """The mixtures of a workflow and of its rounds that mix instruction data in."""
    mixtures = (workflow.mixture, *(one.mixture for one in workflow.rounds))
    return [one for one in mixtures if isinstance(one, Replay) and one.general is not None]


def read_general(source: ProblemSource) -> list[Problem]:
    """The instruction data: question and answer of each row.

    Raises:
        UserError: It cannot be read, or a row lacks its question or answer.
    """
    problems = list(source.load())
    check_problems(problems, "mixture.general")
    return problems


def require_general(workflow: Workflow) -> None:
    """Read all instruction data, so that a fault in it shows before the first generation.

    Raises:
        UserError: As `read_general`.
    """
    for mixture in mixtures_with_general(workflow):
        assert mixture.general is not None
        read_general(mixture.general)
