"""A small chat endpoint on loopback whose replies a test chooses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What the server sends, after `seconds`."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


Behaviour = Callable[[dict[str, Any], int], Reply]
"""Maps the body of a request and its number (from 0) to the reply."""


@dataclass
class ChatServer:
    """A running server, and the requests it received: bodies, times, headers and paths with queries, in order."""

    url: str
    behaviour: Behaviour
    bodies: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def says(content: str | None, *, finish_reason: str = "stop", **message: str) -> Reply:
    """A chat completion of 10 tokens in and 5 out."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return Reply({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage})


def fails(status: int, message: str, **headers: str) -> Reply:
    """An error in the form that OpenAI-compatible servers send."""
    return Reply({"error": {"message": message}}, status, {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def chat_server(behaviour: Behaviour) -> Iterator[ChatServer]:
    """Serve until the `with` block ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(state.bodies)
                state.bodies.append(body)
                state.times.append(time.monotonic())
                state.paths.append(self.path)
                state.headers.append({name.lower(): value for name, value in self.headers.items()})
            reply = state.behaviour(body, number)
            time.sleep(reply.seconds)
            text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text.encode())), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())
            except OSError:
                # The client did not wait.
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = ChatServer(f"http://127.0.0.1:{server.server_address[1]}/v1", behaviour)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
