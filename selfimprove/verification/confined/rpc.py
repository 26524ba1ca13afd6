"""The line between the process of the tests and the process of the answer: each may call what the other has handed out."""

from __future__ import annotations

import builtins
import os

from .codec import NUMBER, UNREADABLE, decode, encode

TYPE_CHECKING = False  # That of `typing` takes as long to load as everything else here.
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

LARGEST_MESSAGE = 1 << 24
"""Bytes of one message."""
MINE, YOURS = b"M", b"Y"
"""Whose object a number stands for, as the one who sends it says."""


class LineBroken(BaseException):
    """The other end is gone, or sent what is no message. No `except Exception` of a test or an answer stops it."""


class Line:
    """Calls to the other end, and its calls to this one, which are answered while this one waits for a reply.

    An object that is not plain data stays where it is; the other end gets its number.
    """

    def __init__(self, socket: int, serve: Callable[..., Any], stand_in: Callable[[int], Any]) -> None:
        """`serve` carries out a call of the other end; `stand_in` makes what stands here for object number so and so of the other end."""
        self._socket, self._serve, self._stand_in = socket, serve, stand_in
        self.broken = False
        """Whether the other end has gone, or sent what is no message."""
        self._mine: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._theirs: dict[int, Any] = {}
        self._known: dict[int, int] = {}

    def call(self, action: str, *arguments: Any) -> Any:
        """Have the other end carry out an action. Lists, dicts and sets among the arguments are afterwards as it left them, unless it raised.

        Raises what the action raised, where that is a built-in exception; else RuntimeError.
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
            self._answer(kind, content)

    def serve(self) -> None:
        """Answer calls until the other end is gone."""
        while True:
            self._answer(*self._receive())

    def object(self, number: int) -> Any:
        """What was handed out under this number."""
        return self._mine[number]

    def _answer(self, action: str, content: Any) -> None:
        try:
            arguments = [self._decode(argument) for argument in content]
            result = self._encode(self._serve(action, *arguments))
            after = map(self._encode, arguments)
            changes = [(index, now) for index, (now, before) in enumerate(zip(after, content, strict=True)) if now != before]
        except LineBroken:
            raise
        except BaseException as error:
            self._send("raised", _described(error))
        else:
            self._send("result", (result, changes))

    def _encode(self, value: Any) -> bytes:
        return encode(value, self._hand_out)

    def _hand_out(self, value: Any) -> tuple[bytes, int]:
        if (number := self._known.get(id(value))) is not None:
            return YOURS, number
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._mine)
            self._mine.append(value)
        return MINE, self._numbers[id(value)]

    def _decode(self, data: bytes) -> Any:
        return decode(data, self._stood_for)

    def _stood_for(self, whose: bytes, number: int) -> Any:
        if whose == YOURS:
            return self._mine[number]
        if number not in self._theirs:
            self._theirs[number] = self._stand_in(number)
            self._known[id(self._theirs[number])] = number
        return self._theirs[number]

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
        (length,) = NUMBER.unpack(self._exactly(NUMBER.size))
        if length > LARGEST_MESSAGE:
            raise self._break("a message is too long")
        try:
            kind, content = decode(self._exactly(length))
        except UNREADABLE as error:
            raise self._break("no message") from error
        return kind, content

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            try:
                part = os.read(self._socket, min(length, 1 << 16))
            except OSError:  # It left before it had read everything.
                part = b""
            if not part:
                raise self._break("the other end is gone")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _break(self, why: str) -> LineBroken:
        self.broken = True
        return LineBroken(why)


def _overwrite(old: Any, new: Any) -> None:
    if isinstance(old, list):
        old[:] = new
    elif isinstance(old, dict | set):
        old.clear()
        old.update(new)


def _described(error: BaseException) -> tuple[list[str], str]:
    try:
        message = str(error)
    except BaseException:
        message = ""
    return [kind.__name__ for kind in type(error).__mro__], message[:1000]


def _exception(names: Sequence[str], message: str) -> Exception:
    """The nearest built-in relative of what was raised, or RuntimeError; nothing that would end the process.

    Nor anything that ends an iteration: `all(map(check, cases))` would take a case that raises StopIteration for the end of the cases.
    """
    for name in names:
        kind = vars(builtins).get(name)
        if isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception:
            try:
                return RuntimeError(message) if issubclass(kind, StopIteration | StopAsyncIteration) else kind(message)
            except TypeError:
                break  # Those that want more than a message: the errors of Unicode.
    return RuntimeError(message)
