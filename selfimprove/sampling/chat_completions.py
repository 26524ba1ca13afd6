"""Traces from an endpoint's chat completions, many requests at once; what it counts and costs stands in each trace."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from selfimprove.errors import UserError
from selfimprove.records import Checkpoint, Request, Trace, Usage
from selfimprove.sampling.endpoint import Endpoint, refuse_budget

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAIError

CONNECT_SECONDS = 10.0
LONGEST_WAIT = 8.0
"""Seconds between two attempts after malformed answers, at most."""
CONTINUES = "the same command continues the run"


class OpenEndpoint:
    """The client, on a thread of its own with an event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client: AsyncOpenAI | None = None
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._next_turn = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
        self._thread.start()

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        """One trace for every request, in batches, as they finish; the first request that fails for good ends it.

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

    def rest(self) -> None:
        """Nothing: it holds no accelerator."""

    def close(self) -> None:
        """Leave what is under way and end the thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._loop.close()

    def _connect(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        # Every attempt passes the hook, those of the library's own retries too. What goes to this machine has no business with a proxy.
        transport = DefaultAsyncHttpxClient(event_hooks={"request": [self._take_turn]}, trust_env=not self._endpoint.local)
        return AsyncOpenAI(
            base_url=self._endpoint.url,
            # A server that asks for none takes any.
            api_key=self._endpoint.key() or "none",
            max_retries=self._endpoint.retries,
            timeout=Timeout(self._endpoint.timeout, connect=min(CONNECT_SECONDS, self._endpoint.timeout)),
            http_client=transport,
        )

    # What follows runs on the loop's thread.

    async def _ask(self, request: Request) -> Trace:
        from openai import OpenAIError

        self._client = client = self._client or self._connect()
        endpoint = self._endpoint
        chosen = {"temperature": request.temperature, "top_p": request.top_p, "max_tokens": request.max_tokens, "seed": request.seed}
        body = {name: value for name, value in (chosen | endpoint.extra).items() if value is not None}
        messages: Any = list(request.messages)
        async with self._slots:
            for attempt in range(endpoint.retries + 1):
                try:
                    answer = await client.chat.completions.with_raw_response.create(model=endpoint.model, messages=messages, extra_body=body)
                except OpenAIError as error:
                    raise UserError(self._explain(request, error)) from error
                try:
                    return self._trace(request, _Completion.model_validate_json(answer.content))
                except ValidationError as error:
                    malformed = " ".join(str(error.errors()[0]["msg"]).split())
                await asyncio.sleep(min(2.0**attempt / 2, LONGEST_WAIT) if attempt < endpoint.retries else 0)
        raise UserError(
            f"{endpoint.url} answered {endpoint.retries + 1} times with what is no chat completion ({malformed}); is its url up to /v1 right?"
        )

    async def _take_turn(self, _: object) -> None:
        if self._endpoint.requests_per_minute is not None:
            turn = max(self._next_turn, self._loop.time())
            self._next_turn = turn + 60 / self._endpoint.requests_per_minute
            await asyncio.sleep(turn - self._loop.time())

    def _trace(self, request: Request, completion: _Completion) -> Trace:
        choice, counted, marks = completion.choices[0], completion.usage, request.delimiters
        answer, reasoning = choice.message.content or "", choice.message.reasoning_content or choice.message.reasoning
        if reasoning:
            # Where the limit came before any answer, the thinking has not ended.
            ended = answer or choice.finish_reason != "length"
            answer = f"{marks.begin}{reasoning}{marks.end if ended else ''}{answer}"
        return Trace(
            id=request.id,
            problem_id=request.problem_id,
            checkpoint_id=self._endpoint.checkpoint().id,
            prompt_token_ids=(),
            output_token_ids=(),
            text=answer,
            forced=(),
            finish_reason=choice.finish_reason or "unknown",
            temperature=request.temperature,
            seed=request.seed,
            delimiters=marks,
            usage=Usage(counted.prompt_tokens, counted.completion_tokens, self._cost(counted)) if counted else None,
        )

    def _cost(self, counted: _Counted) -> float:
        prices = self._endpoint.price_per_million_in, self._endpoint.price_per_million_out
        return (counted.prompt_tokens * prices[0] + counted.completion_tokens * prices[1]) / 1e6

    def _explain(self, request: Request, error: OpenAIError) -> str:
        """One line: what became of this request, and what to do."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        endpoint = self._endpoint
        if isinstance(error, APITimeoutError):
            return (
                f"{endpoint.url} gave no answer within {endpoint.timeout:g} s: raise timeout, lower concurrency or ask for fewer tokens; {CONTINUES}"
            )
        if isinstance(error, APIConnectionError):
            return f"{endpoint.url} cannot be reached ({error.__cause__ or error}): is it there? {CONTINUES}"
        status = error.status_code if isinstance(error, APIStatusError) else 0
        advice = {
            401: f"the key of {endpoint.key_from} is not taken" if endpoint.key_from else "it asks for a key: name its variable in key_from",
            403: f"the key of {endpoint.key_from} may not use {endpoint.model}",
            404: f"it serves no model {endpoint.model}, or its url does not end with its version, such as /v1",
            429: f"lower requests_per_minute or concurrency, or wait; {CONTINUES}",
        }.get(status, f"it was asked problem {request.problem_id}" if status < 500 else CONTINUES)
        body: Any = getattr(error, "body", None)
        told = " ".join(str(body.get("message", body) if isinstance(body, dict) else body or error).split())
        # Some servers say back what they were sent.
        if key := os.environ.get(endpoint.key_from or "", "").strip():
            told = told.replace(key, "…")
        return f"{endpoint.url} answered {status or 'nothing'}: {told[:300]}; {advice}"

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()


class _Message(BaseModel):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Counted(BaseModel):
    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt


class _Completion(BaseModel):
    """What is read of an answer; servers differ in the rest."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: _Counted | None = None
