"""The process that runs the tests of one problem against an answer that lives in another process."""

from __future__ import annotations

import builtins
import os
import sys

from .codec import decode
from .rpc import Line
from .submission import SPECIAL

TYPE_CHECKING = False  # That of `typing` takes as long to load as everything else here.
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def main(socket: int) -> None:
    """Read the code, the tests and the entry point from standard input, evaluate, and write one line about it to standard output.

    `correct`, `wrong`, `unparseable`, `memory` (it ran out), `gone` (the answer's process hung up), or `broken` and why the tests are no Python.
    """
    with open(0, "rb", closefd=False) as file:
        code, tests, entry_point = decode(file.read())
    report, nothing = os.dup(1), os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    found = _evaluate(code, tests, entry_point, socket)
    os.write(report, found[:1000].encode(errors="replace"))


def _evaluate(code: str, tests: list[str], entry_point: str | None, socket: int) -> str:
    try:
        programs = [compile(test, "<tests>", "exec", dont_inherit=True) for test in tests]
    except (SyntaxError, ValueError, OverflowError, RecursionError) as error:
        return f"broken {error}"

    def serve(action: str, number: int, named: dict[str, Any], *arguments: Any) -> Any:
        if action != "call":
            raise ValueError("a function of the tests can only be called")
        return line.object(number)(*arguments, **named)

    line = Line(socket, serve, lambda number: Remote(line, number))
    try:
        defined = line.call("load", code)
        if defined is None:
            return "unparseable"
        names = Names(line, defined, entry_point)
        for program in programs:
            exec(program, names)
    except MemoryError:
        return "memory"
    except BaseException:
        return "gone" if line.broken else "wrong"
    # A test may have swallowed what it was told by an exception.
    return "gone" if line.broken else "correct"


class Names(dict[str, object]):
    """The names of the tests; those that they do not define are the answer's."""

    def __init__(self, line: Line, defined: list[str], entry_point: str | None) -> None:
        """`defined` lists the names of the answer."""
        super().__init__(__name__="tests", __builtins__=builtins)
        self._line, self._defined, self._entry_point = line, set(defined), entry_point

    def __missing__(self, name: str) -> Any:
        if name == self._entry_point and name not in self._defined:
            raise NameError(f"the answer does not define {name}")
        if name not in self._defined:
            raise KeyError(name)  # Python then looks among the built-in names.
        # With an `abs` or a `math` of its own an answer would decide what the tests find.
        if name != self._entry_point:
            if hasattr(builtins, name):
                raise NameError(f"the answer defines the built-in name {name}, which the tests use; only the entry point may")
            if name in sys.stdlib_module_names:
                return __import__(name)
        try:
            return self._line.call("named", name)
        except KeyError:
            raise NameError(f"the answer has taken {name} away") from None


class Remote:
    """Stands in the tests for an object of the answer: equal to nothing but itself, whatever the object says."""

    __slots__ = ("_line", "_number")

    def __init__(self, line: Line, number: int) -> None:
        """It is number so and so of what the other end has handed out."""
        object.__setattr__(self, "_line", line)
        object.__setattr__(self, "_number", number)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the object in its own process."""
        return self._line.call("call", self._number, named, *arguments)

    def __getattr__(self, name: str) -> Any:
        """An attribute of the object, special ones aside."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self._line.call("attribute", self._number, name)

    def __iter__(self) -> Remote:
        """Iterate over the object in its own process."""
        iterator: Remote = self._line.call("special", self._number, "__iter__")
        return iterator

    def __next__(self) -> Any:
        """The next item of the object."""
        for item in self._line.call("special", self._number, "__next__"):
            return item
        raise StopIteration

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the object."""
        self._line.call("set_attribute", self._number, name, value)


def _special(name: str) -> Callable[..., Any]:
    return lambda remote, *arguments: remote._line.call("special", remote._number, name, *arguments)


for _name in SPECIAL.keys() - vars(Remote).keys():
    setattr(Remote, _name, _special(_name))
