"""An OpenAI-compatible endpoint as a sampler: many requests at once, with what each one costs."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import field
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.errors.redaction import redact
from selfimprove.protocols import Resources, Sampler
from selfimprove.records import Checkpoint, Request, Trace, Usage
from selfimprove.records.budgets import Budget, BudgetByDifficulty
from selfimprove.records.numbers import Int, NonNegativeFloat, NonNegativeInt, PositiveFloat
from selfimprove.sampling.chat_completions import ChatClient, Completion, Server, TokenCounts

ASIDE = {"described": False}
"""Settings that change how an endpoint is asked, not what it answers: a run may be continued with another pace, price or key."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Endpoint(Sampler):
    """Samples with a server's chat completions. The server has a model of its own and cannot load checkpoints, so this is a teacher's sampler."""

    url: str
    """Address up to and including the version: `https://api.openai.com/v1`. Its query, if any, is sent with every request. A key is sent over https
    only, or to this machine."""
    model: str
    """The model's name on the server."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields of the request's body, passed untouched. They override those of the sampling; None leaves a field out."""
    key_from: str | None = field(default="OPENAI_API_KEY", metadata=ASIDE)
    """Name of the environment variable that holds the key, on the machine that starts the run and on the worker's; None for a server without keys."""
    concurrency: Annotated[Int, Field(gt=0, le=1000)] = field(default=32, metadata=ASIDE)
    """Maximum number of requests in progress."""
    requests_per_minute: PositiveFloat | None = field(default=None, metadata=ASIDE)
    """Rate limit, evenly spaced, retries included; None for no limit."""
    retries: NonNegativeInt = field(default=10, metadata=ASIDE)
    """Number of times a request is repeated after 429, 5xx, a timeout, a lost connection or a malformed answer."""
    timeout: PositiveFloat = field(default=300.0, metadata=ASIDE)
    """Seconds without a sign of the answer after which a request fails."""
    price_per_million_in: NonNegativeFloat = field(default=0.0, metadata=ASIDE)
    """Price of a million prompt tokens, in any currency."""
    price_per_million_out: NonNegativeFloat = field(default=0.0, metadata=ASIDE)
    """Price of a million output tokens, reasoning included."""
    resources: Resources = Resources(gpus=0)

    @model_validator(mode="after")
    def _safe(self) -> Endpoint:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url {redact(self.url, self.url)!r} is not an http address such as https://api.openai.com/v1")
        if parts.username or parts.password:
            raise ValueError("the url holds a password: put it into an environment variable and name that in key_from")
        if parts.scheme == "http" and self.key_from and not self.local:
            raise ValueError(
                f"the key of {self.key_from} would travel unencrypted to {parts.hostname}: use https, or key_from=None for a server without keys"
            )
        if parts.scheme == "http" and not self.local and redact(self.url) != self.url:
            raise ValueError(f"the key in the url would travel unencrypted to {parts.hostname}: use https")
        return self

    @property
    def devices(self) -> int:
        """None: the server computes."""
        return 0

    @property
    def sequences(self) -> int:
        """Requests that each copy works on at once."""
        return self.concurrency

    @property
    def local(self) -> bool:
        """Whether the server runs on this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def checkpoint(self) -> Checkpoint:
        """The checkpoint that its traces are recorded under; its weights are unknown."""
        return Checkpoint("teacher", f"{redact(self.url)} {self.model}", None, 0, "", "")

    def key(self) -> str | None:
        """The key, from the environment.

        Raises:
            UserError: the variable is not set.
        """
        key = os.environ.get(self.key_from, "").strip() if self.key_from else None
        if key == "":
            raise UserError(
                f"{redact(self.url)}: the environment variable {self.key_from} holds no key; set it, or key_from=None for a server without keys"
            )
        return key

    def open(self) -> OpenEndpoint:
        """A client that connects with the first request."""
        return OpenEndpoint(self)


def refuse_budget(budget: Budget | BudgetByDifficulty | None) -> None:
    """Refuse a budget: it is enforced token by token, inside an engine.

    Raises:
        UserError: there is one.
    """
    if budget is not None:
        raise UserError(
            "an Endpoint cannot enforce a budget of thinking: leave it out (extra passes on what the server itself offers), or sample with VLLM"
        )


class OpenEndpoint:
    """The client, with an event loop on its own thread."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client: ChatClient | None = None
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._next_turn = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
        self._thread.start()

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        """One trace for every request, in batches as they finish. The first request that fails for good ends the iteration.

        Raises:
            UserError: this endpoint does not serve `checkpoint`, cannot do what a request asks, or refuses it; says what to do.
        """
        if checkpoint != self._endpoint.checkpoint():
            raise UserError(f"an Endpoint cannot load {checkpoint.id}: it serves a model of its own; make it the sampler of the workflow's teacher")
        for request in requests:
            refuse_budget(request.budget)
            if request.stop_after_thoughts is not None:
                raise UserError("an Endpoint cannot stop after a thought: search and stop early with VLLM")
        pending = {asyncio.run_coroutine_threadsafe(self._ask(request), self._loop) for request in requests}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                if traces := [future.result() for future in done if future.exception() is None]:
                    yield traces
                for future in done:
                    future.result()
        finally:
            for future in pending:
                future.cancel()

    def rest(self, same_weights: bool = False) -> None:
        """Do nothing: it holds no accelerator."""

    def close(self) -> None:
        """Cancel the requests in progress and end the thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._loop.close()

    # The methods below run on the loop's thread.

    async def _ask(self, request: Request) -> Trace:
        endpoint = self._endpoint
        if self._client is None:
            server = Server(endpoint.url, endpoint.model, endpoint.key(), endpoint.key_from, endpoint.local, endpoint.retries, endpoint.timeout)
            self._client = ChatClient(server, self._take_turn)
        chosen = {"temperature": request.temperature, "top_p": request.top_p, "max_tokens": request.max_tokens, "seed": request.seed}
        body = {name: value for name, value in (chosen | dict(request.extra) | endpoint.extra).items() if value is not None}
        async with self._slots:
            return self._trace(request, await self._client.complete(request.messages, body, request.problem_id))

    async def _take_turn(self, _: object) -> None:
        if self._endpoint.requests_per_minute is not None:
            turn = max(self._next_turn, self._loop.time())
            self._next_turn = turn + 60 / self._endpoint.requests_per_minute
            await asyncio.sleep(turn - self._loop.time())

    def _trace(self, request: Request, completion: Completion) -> Trace:
        choice, counted, marks = completion.choices[0], completion.usage, request.delimiters
        text, reasoning = choice.message.content or "", choice.message.reasoning_content or choice.message.reasoning
        if reasoning:
            # At the token limit without an answer, the thinking has not ended.
            ended = text or choice.finish_reason != "length"
            text = f"{marks.begin}{reasoning}{marks.end if ended else ''}{text}"
        return Trace(
            id=request.id,
            problem_id=request.problem_id,
            checkpoint_id=self._endpoint.checkpoint().id,
            prompt_token_ids=(),
            output_token_ids=(),
            text=text,
            forced=(),
            finish_reason=choice.finish_reason or "unknown",
            temperature=request.temperature,
            seed=request.seed,
            delimiters=marks,
            usage=Usage(counted.prompt_tokens, counted.completion_tokens, self._cost(counted)) if counted else None,
        )

    def _cost(self, counted: TokenCounts) -> float:
        prices = self._endpoint.price_per_million_in, self._endpoint.price_per_million_out
        return (counted.prompt_tokens * prices[0] + counted.completion_tokens * prices[1]) / 1e6

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
