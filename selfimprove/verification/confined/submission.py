"""The process that runs an answer: it defines what the answer defines, and carries out calls to that."""

from __future__ import annotations

import itertools
import operator
import sys
import types

from .rpc import Line

TYPE_CHECKING = False  # That of `typing` takes as long to load as everything else here.
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
"""What the tests may do with an object of the answer beside calling it and its methods. No comparison and no arithmetic:
an object that is told the expected value, or what is subtracted from it, could say whatever is right."""


def main(socket: int) -> None:
    """Serve the tests over the socket until they are done."""
    Candidate(socket).line.serve()


class Candidate:
    """What the tests can ask of an answer."""

    def __init__(self, socket: int) -> None:
        """Nothing is run before the first call."""
        self._module = types.ModuleType("solution")
        sys.modules["solution"] = self._module
        self.line = Line(socket, lambda action, *arguments: getattr(self, action)(*arguments), self._callback)

    def load(self, code: str) -> list[str] | None:
        """Run the answer's code; the names it defines, or None where it is not Python."""
        try:
            program = compile(code, "<answer>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):  # What the compiler raises for one text or another.
            return None
        exec(program, vars(self._module))
        return [name for name in vars(self._module) if not name.startswith("__")]

    def named(self, name: str) -> Any:
        """What the answer calls by this name."""
        return vars(self._module)[name]

    def call(self, number: int, named: dict[str, Any], *arguments: Any) -> Any:
        """Call an object of the answer."""
        return self.line.object(number)(*arguments, **named)

    def attribute(self, number: int, name: str) -> Any:
        """An attribute of an object."""
        return getattr(self.line.object(number), name)

    def set_attribute(self, number: int, name: str, value: Any) -> None:
        """Set an attribute of an object."""
        setattr(self.line.object(number), name, value)

    def special(self, number: int, name: str, *arguments: Any) -> Any:
        """Apply one of `SPECIAL` to an object."""
        return SPECIAL[name](self.line.object(number), *arguments)

    def _callback(self, number: int) -> Callable[..., Any]:
        """Stands for a function of the tests, given as an argument."""
        return lambda *arguments, **named: self.line.call("call", number, named, *arguments)
