"""Judges an answer that is Python code by running the problem's tests against it, in a sandbox."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.records import Outcome, Problem
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
"""An answer that tries what the sandbox is there to prevent, and names what it could do."""


@dataclass(frozen=True, config={"extra": "forbid"})
class PythonTests:
    """Right is code that passes the tests of its problem: `metadata["tests"]`, Python text with assertions, or a list of such.

    The code is the last fenced block of the answer (of those marked Python or not marked), or the whole answer where there is no fence. The tests
    use the names that it defines as if they were defined above; where one is that of a built-in or of a module of the standard library (`pow`,
    `select`), `metadata["entry_point"]` must name it.
    Code and tests run in processes of their own, apart and confined, with the standard library alone; docs/explanation/sandbox.md says what
    that covers and what it does not.
    """

    seconds: Annotated[float, Field(gt=0)] = 3.0
    """Wall time for one answer; keep it below the pool's deadline, which ends the worker as well."""
    memory: Annotated[int, Field(ge=64)] = 512
    """MiB of address space for the code, and as much for the tests."""

    name = "python-tests"
    version = "1"
    needs_reference = False

    def prepare(self) -> None:
        """Try the sandbox out. Raises UserError where this machine does not give its protections."""
        outcome = evaluate(ESCAPES, ["assert possible() == []"], None, 60.0, self.memory << 20)
        if outcome is not Outcome.CORRECT:
            raise UserError(f"the sandbox does not hold on this machine ({outcome} where it was tried out): code is not run in it")

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT: every test passes. WRONG: one fails, something is raised, the code ends its own process or says more than 16 MiB.

        UNPARSEABLE: there is no code, or it is not Python. TIMEOUT: the time is over. CRASH: the memory is, or a signal ended a process.

        Raises ValueError where the problem has no tests or they are not Python, and UserError where the kernel does not confine processes.
        """
        tests = problem.metadata.get("tests")
        if not tests or not (isinstance(tests, str) or (isinstance(tests, list) and all(isinstance(test, str) for test in tests))):
            raise ValueError(f'problem {problem.id} has no tests: metadata["tests"] must be Python text or a list of such')
        code = _code(answer)
        if code is None:
            return Outcome.UNPARSEABLE
        tests = [tests] if isinstance(tests, str) else tests
        return evaluate(code, tests, problem.metadata.get("entry_point"), self.seconds, self.memory << 20)


def _code(answer: str) -> str | None:
    """None where there is none: nothing but white space, no block of Python, or one that never ends."""
    fences = list(FENCE.finditer(answer))
    if not fences:
        return answer if answer.strip() else None
    code = None
    # Fences come in pairs; one with a language opens a block even inside another: what came before it was cut off.
    opening: re.Match[str] | None = None
    for fence in fences:
        if opening is not None and not fence[1]:
            block = answer[opening.end() : fence.start()]
            code = block if opening[1].lower() in PYTHON else code
            opening = None
        else:
            opening = fence
    return code if opening is None and code is not None and code.strip() else None
