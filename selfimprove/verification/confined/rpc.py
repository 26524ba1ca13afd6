"""Calls between the tester and the submission: each may call the objects that the other has passed to it."""

from __future__ import annotations

import builtins
import os
import sys

from .codec import NUMBER, UNREADABLE, decode, encode

TYPE_CHECKING = False  # Importing it from `typing` takes as long as everything else here.
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import StringIO
    from typing import Any

LARGEST_MESSAGE = 1 << 24
"""Bytes of one message."""
MINE, YOURS = b"M", b"Y"
"""Whose object a number refers to, from the sender's point of view."""


class ConnectionBroken(BaseException):
    """The other end is gone or sent an invalid message. No `except Exception` of a test or a submission catches it."""


class Rpc:
    """Calls to the other process, and its calls to this one, which are handled while this one waits for a reply.

    An object that is not plain data stays where it is; the other process gets its number.
    """

    def __init__(self, socket: int, handle: Callable[..., Any], make_proxy: Callable[[int], Any]) -> None:
        """`handle` carries out a call of the other process; `make_proxy` makes the local proxy of its object with a given number."""
        self._socket, self._handle, self._make_proxy = socket, handle, make_proxy
        self.broken = False
        """Whether the other end is gone or sent an invalid message."""
        self.printed: StringIO | None = None
        """What this process has printed since the last call, for the other one to print."""
        self._objects: list[Any] = []
        """Local objects that the other process knows, by number."""
        self._numbers: dict[int, int] = {}
        """Their numbers by Python id."""
        self._proxies: dict[int, Any] = {}
        """Proxies of its objects, by number."""
        self._proxy_numbers: dict[int, int] = {}
        """Their numbers by Python id."""

    def call(self, action: str, *arguments: Any) -> Any:
        """Have the other process carry out an action. Lists, dicts and sets among the arguments then change as they did there, unless it raised.

        Raises what the action raised if that is a built-in exception, else RuntimeError.
        """
        self._send(action, tuple(map(self._encode, arguments)))
        while True:
            kind, content = self._receive()
            if kind == "result":
                result, changes = content
                for index, change in changes:
                    _overwrite(arguments[index], self._decode(change))
                return self._decode(result)
            if kind == "raised":
                raise _exception(*content)
            if kind == "printed":
                sys.stdout.write(content)
                continue
            self._answer(kind, content)

    def serve(self) -> None:
        """Handle calls until the other end is gone."""
        while True:
            self._answer(*self._receive())

    def object(self, number: int) -> Any:
        """The local object with this number."""
        return self._objects[number]

    def _answer(self, action: str, content: Any) -> None:
        try:
            arguments = [self._decode(argument) for argument in content]
            result = self._encode(self._handle(action, *arguments))
            after = map(self._encode, arguments)
            changes = [(index, now) for index, (now, before) in enumerate(zip(after, content, strict=True)) if now != before]
            self._pass_on_output()
        except ConnectionBroken:
            raise
        except BaseException as error:
            self._pass_on_output()
            self._send("raised", _described(error))
        else:
            self._send("result", (result, changes))

    def _pass_on_output(self) -> None:
        """Send what this process has printed, if it collects that: tests may capture it."""
        if self.printed is not None and (text := self.printed.getvalue()):
            self.printed.seek(0)
            self.printed.truncate()
            self._send("printed", text)

    def _encode(self, value: Any) -> bytes:
        return encode(value, self._refer)

    def _refer(self, value: Any) -> tuple[bytes, int]:
        if (number := self._proxy_numbers.get(id(value))) is not None:
            return YOURS, number
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return MINE, self._numbers[id(value)]

    def _decode(self, data: bytes) -> Any:
        return decode(data, self._resolve)

    def _resolve(self, whose: bytes, number: int) -> Any:
        if whose == YOURS:
            return self._objects[number]
        if number not in self._proxies:
            self._proxies[number] = self._make_proxy(number)
            self._proxy_numbers[id(self._proxies[number])] = number
        return self._proxies[number]

    def _send(self, kind: str, content: Any) -> None:
        data = encode((kind, content))
        if len(data) > LARGEST_MESSAGE:
            raise self._break("a message is too long")
        rest = memoryview(NUMBER.pack(len(data)) + data)
        try:
            while rest:
                rest = rest[os.write(self._socket, rest) :]
        except OSError as error:
            raise self._break("the other end is gone") from error

    def _receive(self) -> tuple[str, Any]:
        (length,) = NUMBER.unpack(self._read_exactly(NUMBER.size))
        if length > LARGEST_MESSAGE:
            raise self._break("a message is too long")
        try:
            kind, content = decode(self._read_exactly(length))
        except UNREADABLE as error:
            raise self._break("a message is invalid") from error
        return kind, content

    def _read_exactly(self, length: int) -> bytes:
        parts = []
        while length:
            try:
                part = os.read(self._socket, min(length, 1 << 16))
            except OSError:  # The other end left before it had read everything.
                part = b""
            if not part:
                raise self._break("the other end is gone")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _break(self, why: str) -> ConnectionBroken:
        self.broken = True
        return ConnectionBroken(why)


def _overwrite(old: Any, new: Any) -> None:
    if isinstance(old, list | bytearray):
        old[:] = new
    elif isinstance(old, dict | set):
        old.clear()
        old.update(new)
    elif type(old).__name__ == "deque":
        old.clear()
        old.extend(new)


def _described(error: BaseException) -> tuple[list[str], str]:
    try:
        message = str(error)
    except BaseException:
        message = ""
    return [kind.__name__ for kind in type(error).__mro__], message[:1000]


def _exception(names: Sequence[str], message: str) -> BaseException:
    """The nearest built-in ancestor of the original exception, or RuntimeError.

    Not one that ends an iteration: `all(map(check, cases))` would take a StopIteration from one case for the end of the cases.
    """
    for name in names:
        kind = vars(builtins).get(name)
        if kind is SystemExit:
            return SystemExit(int(message) if message.isdecimal() else message or None)
        if isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception:
            try:
                return RuntimeError(message) if issubclass(kind, StopIteration | StopAsyncIteration) else kind(message)
            except TypeError:
                break  # Some take more than a message: the Unicode errors.
    return RuntimeError(message)
