"""The process that runs the submission: it executes the code of an answer and serves the tester's calls to what the code defines."""

from __future__ import annotations

import io
import itertools
import operator
import sys
import types

from .rpc import Rpc

TYPE_CHECKING = False  # Importing it from `typing` takes as long as everything else here.
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SPECIAL: dict[str, Callable[..., Any]] = {
    "__bool__": bool,
    "__delitem__": operator.delitem,
    "__enter__": lambda thing: thing.__enter__(),
    "__exit__": lambda thing, *raised: thing.__exit__(*raised),
    "__float__": float,
    "__getitem__": operator.getitem,
    "__int__": int,
    "__iter__": iter,
    "__len__": len,
    "__next__": lambda iterator: list(itertools.islice(iterator, 1)),
    "__repr__": repr,
    "__setitem__": operator.setitem,
    "__str__": str,
}
"""What the tests may do with an object of the submission, besides calling it and its methods. Comparison and arithmetic are left out: an object that
sees the expected value, or what is subtracted from it, could always claim to match."""


def main(socket: int) -> None:
    """Serve the tester over the socket until it is done."""
    submission = Submission(socket)
    sys.stdout = submission.rpc.printed = io.StringIO()
    submission.rpc.serve()


class Submission:
    """The actions that the tester may ask for."""

    def __init__(self, socket: int) -> None:
        """No code runs before the first call."""
        self._module = types.ModuleType("solution")
        sys.modules["solution"] = self._module
        self.rpc = Rpc(socket, lambda action, *arguments: getattr(self, action)(*arguments), self._callback)

    def load(self, code: str) -> list[str] | None:
        """Run the code. Returns the names it defines, or None if it is not Python."""
        try:
            program = compile(code, "<answer>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):  # Each is what the compiler raises for some text.
            return None
        exec(program, vars(self._module))
        return [name for name in vars(self._module) if not name.startswith("__")]

    def named(self, name: str) -> Any:
        """What the code defines under this name."""
        return vars(self._module)[name]

    def call(self, number: int, named: dict[str, Any], *arguments: Any) -> Any:
        """Call an object."""
        return self.rpc.object(number)(*arguments, **named)

    def attribute(self, number: int, name: str) -> Any:
        """An attribute of an object."""
        return getattr(self.rpc.object(number), name)

    def set_attribute(self, number: int, name: str, value: Any) -> None:
        """Set an attribute of an object."""
        setattr(self.rpc.object(number), name, value)

    def special(self, number: int, name: str, *arguments: Any) -> Any:
        """Apply one of `SPECIAL` to an object."""
        return SPECIAL[name](self.rpc.object(number), *arguments)

    def _callback(self, number: int) -> Callable[..., Any]:
        """The proxy of a function that the tests pass as an argument."""
        return lambda *arguments, **named: self.rpc.call("call", number, named, *arguments)
