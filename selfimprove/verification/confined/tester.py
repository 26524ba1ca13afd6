"""The process that runs the tests of one problem against a submission in another process."""

from __future__ import annotations

import builtins
import os
import sys

from .codec import decode
from .rpc import Rpc
from .submission import SPECIAL

TYPE_CHECKING = False  # Importing it from `typing` takes as long as everything else here.
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def main(socket: int) -> None:
    """Read the code, the tests and the entry point from standard input, run the tests, and write one line with the result to standard output.

    The result is `correct`, `wrong`, `unparseable`, `memory` (it ran out), `gone` (the submission closed the connection), or `broken` and why the
    tests are not Python.
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

    def handle(action: str, number: int, named: dict[str, Any], *arguments: Any) -> Any:
        if action != "call":
            raise ValueError("a function of the tests can only be called")
        return rpc.object(number)(*arguments, **named)

    rpc = Rpc(socket, handle, lambda number: Proxy(rpc, number))
    try:
        defined = rpc.call("load", code)
        if defined is None:
            return "unparseable"
        names = Names(rpc, defined, entry_point)
        for program in programs:
            exec(program, names)
    except MemoryError:
        return "memory"
    except BaseException:
        return "gone" if rpc.broken else "wrong"
    # A test may have caught the exception that said so.
    return "gone" if rpc.broken else "correct"


class Names(dict[str, object]):
    """The namespace of the tests; names that they do not define are the submission's."""

    def __init__(self, rpc: Rpc, defined: list[str], entry_point: str | None) -> None:
        """`defined` lists the names of the submission."""
        super().__init__(__name__="tests", __builtins__=builtins)
        self._rpc, self._defined, self._entry_point = rpc, set(defined), entry_point

    def __missing__(self, name: str) -> Any:
        if name == self._entry_point and name not in self._defined:
            raise NameError(f"the answer does not define {name}")
        if name not in self._defined:
            raise KeyError(name)  # Python then looks among the built-in names.
        # With its own `abs` or `math`, a submission could decide what the tests find.
        if name != self._entry_point:
            if hasattr(builtins, name):
                raise NameError(f"the answer defines the built-in name {name}, which the tests use; only the entry point may")
            if name in sys.stdlib_module_names:
                return __import__(name)
        try:
            return self._rpc.call("named", name)
        except KeyError:
            raise NameError(f"the answer has deleted {name}") from None


class Proxy:
    """An object of the submission, as the tests see it: equal only to itself, whatever the object claims."""

    # Mangled names: every other attribute, private ones too, is the object's.
    __slots__ = ("__number", "__rpc")

    def __init__(self, rpc: Rpc, number: int) -> None:
        """Stand for the object with this number in the submission process."""
        self.__rpc = rpc
        self.__number = number

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the object in its own process."""
        return self.__rpc.call("call", self.__number, named, *arguments)

    def __getattr__(self, name: str) -> Any:
        """An attribute of the object, except special ones."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__rpc.call("attribute", self.__number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the object."""
        if name in ("_Proxy__rpc", "_Proxy__number"):
            super().__setattr__(name, value)
        else:
            self.__rpc.call("set_attribute", self.__number, name, value)

    def __iter__(self) -> Proxy:
        """Iterate over the object in its own process."""
        iterator: Proxy = self.__rpc.call("special", self.__number, "__iter__")
        return iterator

    def __next__(self) -> Any:
        """The next item of the object."""
        for item in self.__rpc.call("special", self.__number, "__next__"):
            return item
        raise StopIteration

    @staticmethod
    def _special(name: str) -> Callable[..., Any]:
        return lambda proxy, *arguments: proxy.__rpc.call("special", proxy.__number, name, *arguments)


for _name in SPECIAL.keys() - vars(Proxy).keys():
    setattr(Proxy, _name, Proxy._special(_name))
del Proxy._special  # An object of the submission may have an attribute of this name.
