"""An OpenAI-compatible endpoint as a sampler: many requests at once, with what each one costs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import field

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from selfimprove.endpoints.chat_completions import ChatClient, Completion, TokenCounts
from selfimprove.endpoints.chat_endpoint import ASIDE, ChatEndpoint
from selfimprove.endpoints.pace import Pace
from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Sampler
from selfimprove.records import Checkpoint, Request, Trace, Usage
from selfimprove.records.budgets import Budget, BudgetByDifficulty
from selfimprove.records.numbers import NonNegativeFloat


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Endpoint(ChatEndpoint, Sampler):
    """Samples with a server's chat completions. The server has a model of its own and cannot load checkpoints, so this is a teacher's sampler."""

    price_per_million_in: NonNegativeFloat = field(default=0.0, metadata=ASIDE)
    """Price of a million prompt tokens, in any currency."""
    price_per_million_out: NonNegativeFloat = field(default=0.0, metadata=ASIDE)
    """Price of a million output tokens, reasoning included."""
    resources: Resources = Resources(gpus=0)

    @property
    def devices(self) -> int:
        """None: the server computes."""
        return 0

    @property
    def sequences(self) -> int:
        """Requests that each copy works on at once."""
        return self.concurrency

    def checkpoint(self) -> Checkpoint:
        """The checkpoint that its traces are recorded under; its weights are unknown."""
        return Checkpoint("teacher", f"{self} {self.model}", None, 0, "", "")

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
        self._slots, self._pace = asyncio.Semaphore(endpoint.concurrency), Pace(endpoint.requests_per_minute)
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
        self._client = client = self._client or ChatClient(endpoint, self._pace.take_turn)
        chosen = {"temperature": request.temperature, "top_p": request.top_p, "max_tokens": request.max_tokens, "seed": request.seed}
        body = endpoint.body(chosen | dict(request.extra))
        async with self._slots:
            return self._trace(request, await client.complete(request.messages, body, request.problem_id))

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
