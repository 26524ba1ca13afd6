"""Verifies an answer that is Python code by running the problem's tests against it in a sandbox."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Confinement, Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.records.numbers import Float, Int
from selfimprove.verification.sandbox import evaluate

FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[ \t]*$", re.MULTILINE)
PYTHON = ("python", "python3", "py", "")

ESCAPES = """
import os, socket

def possible():
    found = []
    for attempt in (socket.socket, os.fork, lambda: open("/proc/self/status"), lambda: open("/tmp/written", "x"), lambda: os.kill(os.getppid(), 0)):
        try:
            attempt()
            found.append(repr(attempt))
        except OSError:
            pass
    return found
"""
"""A submission that tries what the sandbox must prevent, and returns what succeeded."""


@dataclass(frozen=True, config={"extra": "forbid"})
class PythonTests(Verifier):
    """Accepts code that passes the tests of its problem: `metadata["tests"]`, Python text with assertions, or a list of such texts.

    The code is the last fenced block of the answer that is marked as Python or not marked, or the whole answer if it has no fences. The tests use the
    names that the code defines as if it stood above them. If such a name is also a built-in or a module of the standard library (`pow`, `select`),
    `metadata["entry_point"]` must name it.
    Code and tests run in two separate, confined processes with only the standard library; docs/explanation/sandbox.md says what that covers and
    what it does not.
    """

    seconds: Annotated[Float, Field(gt=0)] = 3.0
    """Wall time for one answer. Keep it below the pool's deadline, which also ends the worker."""
    memory: Annotated[Int, Field(ge=64)] = 512
    """MiB of address space for the code, and the same for the tests."""

    name = "python-tests"
    version = "1"
    needs_reference = False

    @property
    def confinement(self) -> Confinement:
        """It starts the processes of the sandbox, which confine themselves further."""
        return Confinement(processes=True)

    def prepare(self) -> None:
        """Test the sandbox. Raises UserError if it does not hold on this machine."""
        outcome = evaluate(ESCAPES, ["assert possible() == []"], None, 60.0, self.memory << 20)
        if outcome is not Outcome.CORRECT:
            need = "use Linux on x86-64 or aarch64 with Landlock and seccomp"
            raise UserError(f"the sandbox does not hold on this machine (its self-test is {outcome}), so no code is run; {need}")

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT: every test passes. WRONG: a test fails or raises, or the code ends its own process or sends more than 16 MiB.

        UNPARSEABLE: there is no code, or it is not Python. TIMEOUT: the time is up. CRASH: a process runs out of memory or is killed by a signal.

        Raises ValueError if the problem has no tests or they are not Python, and UserError if the kernel does not confine processes.
        """
        tests = problem.metadata.get("tests")
        if not tests or not (isinstance(tests, str) or (isinstance(tests, list) and all(isinstance(test, str) for test in tests))):
            raise ValueError(f'problem {problem.id} has no tests: metadata["tests"] must be Python text or a list of such texts')
        code = _code(answer)
        if code is None:
            return Outcome.UNPARSEABLE
        tests = [tests] if isinstance(tests, str) else tests
        return evaluate(code, tests, problem.metadata.get("entry_point"), self.seconds, self.memory << 20)


def _code(answer: str) -> str | None:
    """The code to run; None if the answer is blank, or has fences but no Python block, or ends inside a block."""
    fences = list(FENCE.finditer(answer))
    if not fences:
        return answer if answer.strip() else None
    code = None
    # Fences come in pairs. A fence with a language always opens a block; if another is open, that one was cut off.
    opening: re.Match[str] | None = None
    for fence in fences:
        if opening is not None and not fence[1]:
            block = answer[opening.end() : fence.start()]
            code = block if opening[1].lower() in PYTHON else code
            opening = None
        else:
            opening = fence
    return code if opening is None and code is not None and code.strip() else None
