"""A client of one server's chat completions: retries what may pass, and says in one line what went wrong."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from selfimprove.endpoints.chat_endpoint import ChatEndpoint
from selfimprove.errors import Unavailable, UserError
from selfimprove.errors.redaction import redact
from selfimprove.records import Message
from selfimprove.records.foreign_text import storable

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAIError

CONNECT_SECONDS = 10.0
LONGEST_WAIT = 8.0
"""Maximum number of seconds between two attempts after malformed answers."""
MOST_TOKENS = 1 << 40
"""Largest count of tokens that is believed of a server."""
Text: TypeAlias = Annotated[str, BeforeValidator(lambda value: storable(value) if isinstance(value, str) else value)]
"""A text in which half of a surrogate pair becomes U+FFFD."""
ONE_REQUEST = (400, 413, 422)
"""Status codes that refuse one request for what it says: it is too long, or a filter forbids it."""
CONTINUES = "the same command continues the run"


class AnswerMessage(BaseModel):
    """The text of an answer; servers name the reasoning in one of two ways."""

    content: Text | None = None
    reasoning_content: Text | None = None
    reasoning: Text | None = None


class Choice(BaseModel):
    """One answer."""

    message: AnswerMessage
    finish_reason: Text | None = None


class TokenCounts(BaseModel):
    """The tokens that the server counted."""

    prompt_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)]
    completion_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)]


class Completion(BaseModel):
    """The parts of a chat completion that are read; servers differ in the rest."""

    choices: Annotated[list[Choice], Field(min_length=1)]
    usage: TokenCounts | None = None


class ChatClient:
    """Requests to one server, on the running event loop.

    Args:
        take_turn: Awaited before every attempt, the OpenAI library's own retries included.
    """

    def __init__(self, server: ChatEndpoint, take_turn: Callable[[object], Awaitable[None]]) -> None:
        self._server, self._take_turn = server, take_turn
        self._client: AsyncOpenAI | None = None

    async def complete(self, messages: Sequence[Message], body: Mapping[str, Any], problem_id: str) -> Completion:
        """The server's answer.

        Raises:
            Unavailable: the server fails after all retries, or refuses every request; says what to do.
            UserError: it refuses this one; names the problem.
        """
        from openai import OpenAIError

        server, chat = self._server, [dict(message) for message in messages]
        completions = self.connect()
        for attempt in range(server.retries + 1):
            try:
                answer = await completions.create(model=server.model, messages=chat, extra_body=dict(body))
            except OpenAIError as error:
                raise self._explained(problem_id, error) from error
            try:
                # pydantic's own parser refuses half of a surrogate pair, which a model may write at any time, and again with the same seed.
                return Completion.model_validate(json.loads(answer.content.decode("utf-8", "replace")))
            except ValidationError as error:
                malformed = " ".join(str(error.errors()[0]["msg"]).split())
            except (ValueError, RecursionError) as error:
                malformed = f"Invalid JSON: {' '.join(str(error).split())[:200]}"
            await asyncio.sleep(min(2.0**attempt / 2, LONGEST_WAIT) if attempt < server.retries else 0)
        raise Unavailable(
            f"{server} sent an invalid chat completion {server.retries + 1} times ({malformed}); check that its url goes up to and with /v1"
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def connect(self) -> Any:
        """The library's own interface to chat completions, loaded; no connection is open yet. Raises UserError if there is no key."""
        self._client = self._client or self._made()
        return self._client.chat.completions.with_raw_response

    def _made(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        server = self._server
        address = urlsplit(server.url)
        # Requests to this machine must not go through a proxy.
        transport = DefaultAsyncHttpxClient(event_hooks={"request": [self._take_turn]}, trust_env=not server.local)
        client = AsyncOpenAI(
            base_url=urlunsplit(address._replace(query="")),
            default_query=dict(parse_qsl(address.query)),
            # A server that needs no key takes any.
            api_key=server.key() or "none",
            max_retries=server.retries,
            timeout=Timeout(server.timeout, connect=min(CONNECT_SECONDS, server.timeout)),
            http_client=transport,
        )
        # Every request names the operating system. Read now, it is known to a confined process too, which may not open /etc/os-release.
        client.platform_headers()
        return client

    def _explained(self, problem_id: str, error: OpenAIError) -> UserError:
        """What became of this request, and what to do."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        server = self._server
        if isinstance(error, APITimeoutError):
            return Unavailable(
                f"{server} gave no answer within {server.timeout:g} s: raise timeout, lower concurrency or ask for fewer tokens; {CONTINUES}"
            )
        if isinstance(error, APIConnectionError):
            cause = error.__cause__ or error
            told = self._without_key(str(cause) or type(cause).__name__)
            return Unavailable(f"{server} cannot be reached ({told}): check that the server runs; {CONTINUES}")
        status = error.status_code if isinstance(error, APIStatusError) else 0
        advice = {
            401: f"it rejects the key of {server.key_from}" if server.key_from else "it asks for a key: name its variable in key_from",
            403: f"the key of {server.key_from} may not use {server.model}",
            404: f"it serves no model {server.model}, or its url does not end with its version, such as /v1",
            429: f"lower requests_per_minute or concurrency, or wait; {CONTINUES}",
        }.get(status, f"the request was for problem {problem_id}" if status < 500 else CONTINUES)
        body: Any = getattr(error, "body", None)
        told = " ".join(str(body.get("message", body) if isinstance(body, dict) else body or error).split())
        kind = UserError if status in ONE_REQUEST else Unavailable
        # Some servers repeat what they were sent.
        return kind(f"{server} answered {status or 'nothing'}: {self._without_key(told)[:300]}; {advice}")

    def _without_key(self, text: str) -> str:
        return redact(text, self._server.url, key=os.environ.get(self._server.key_from or "", "").strip())
