"""Verifies an answer by asking a language model for a verdict."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from dataclasses import field
from functools import cached_property
from pathlib import Path

from pydantic.dataclasses import dataclass

from selfimprove.checkpoints.base_models import CACHE, model_cache
from selfimprove.endpoints.chat_completions import ChatClient
from selfimprove.endpoints.chat_endpoint import ASIDE, ChatEndpoint
from selfimprove.endpoints.pace import Pace
from selfimprove.protocols import Confinement, Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.records.numbers import Int, NonNegativeFloat, PositiveInt
from selfimprove.verification.judge_prompt import PROMPT, RUBRIC, judge_prompt, verdict_in
from selfimprove.verification.kept_replies import KeptReplies

PROXIES = tuple(name for one in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for name in (one, one.lower()))
LONGEST_PAUSE = 60.0
"""Seconds that a server may ask for between two attempts."""
CUT_OFF = ("length", "content_filter")
"""Finish reasons of a reply that lacks its end."""


@dataclass(frozen=True, config={"extra": "forbid"})
class LLMJudge(Verifier):
    """Asks a language model behind an endpoint whether an answer is correct, by a rubric and, unless told otherwise, the reference answer.

    The model reads the question, its options, and the text after the thinking. A reply that does not end with a verdict makes the answer
    `unparseable`. A request that the server refuses, for its length or its content, is a `crash`; a server that does not answer ends the run, which
    can be continued. Replies are kept on disk, so nothing is asked twice.
    """

    endpoint: ChatEndpoint
    """The server and its model: an `Endpoint`. Its `concurrency` is the number of answers that are judged at once."""
    rubric: str = RUBRIC
    """What makes an answer correct, in a few sentences."""
    reference: bool = True
    """Whether the judge sees the reference answer, which every problem then needs."""
    max_tokens: PositiveInt = 1024
    """Maximum number of tokens of a reply, its reasoning included."""
    temperature: NonNegativeFloat = 0.0
    """Randomness of a reply; 0 for the likeliest."""
    seed: Int = 0
    """Sent with every request; `endpoint.extra={"seed": None}` leaves it out for a server that refuses it."""
    cache: str = field(default="", metadata=ASIDE)
    """Folder of the replies; empty for `judge` in the cache folder of selfimprove."""
    name = "llm judge"

    @property
    def version(self) -> str:  # type: ignore[override]
        """A digest of the model, the rubric, the prompt and the settings that can change a verdict."""
        settings = [self.rubric, self.reference, self.max_tokens, self.temperature, self.seed]
        decides = [PROMPT, str(self.endpoint), self.endpoint.model, self.endpoint.extra, settings]
        return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:12]

    @property
    def needs_reference(self) -> bool:
        """As `reference` says."""
        return self.reference

    @property
    def confinement(self) -> Confinement:
        """It asks its server with its key, and writes replies into its cache."""
        proxies = () if self.endpoint.local else PROXIES
        names = [name for name in (self.endpoint.key_from, CACHE, *proxies) if name and name in os.environ]
        return Confinement(network=True, environment=tuple(names), write=(str(self._folder),))

    @property
    def concurrency(self) -> int:
        """As the endpoint says: each request waits in a process of its own."""
        return self.endpoint.concurrency

    @property
    def longest_wait(self) -> float:
        """Until the endpoint has given up: all of its retries."""
        turn = 60 * self.concurrency / (self.endpoint.requests_per_minute or float("inf"))
        return (self.endpoint.retries + 1) * (self.endpoint.timeout + LONGEST_PAUSE + turn)

    def prepare(self) -> None:
        """Load the client and open the cache. Raises UserError if there is no key."""
        self._client.connect()
        self._replies.get("")

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """The judge's verdict. Nobody is asked about an empty answer.

        Raises:
            Unavailable: the server does not answer, or refuses every request.
            UserError: the server refuses this request.
        """
        if not answer.strip():
            return Outcome.UNPARSEABLE
        prompt, code = judge_prompt(problem, answer, self.rubric, self.reference)
        body = self.endpoint.body({"temperature": self.temperature, "max_tokens": self.max_tokens, "seed": self.seed})
        question = [str(self.endpoint), self.endpoint.model, body, prompt]
        if (reply := self._replies.get(question)) is None:
            reply = self._loop.run(self._ask(prompt, body, problem.id))
            self._replies.put(question, reply)
        return verdict_in(reply, code)

    async def _ask(self, prompt: str, body: dict[str, object], problem_id: str) -> str:
        """The reply; empty for one that was cut off."""
        answer = (await self._client.complete([{"role": "user", "content": prompt}], body, problem_id)).choices[0]
        return "" if answer.finish_reason in CUT_OFF else answer.message.content or ""

    @property
    def _folder(self) -> Path:
        return (Path(self.cache).expanduser() if self.cache else model_cache() / "judge").absolute()

    # Made in the process that verifies: a part is sent there without them.

    @cached_property
    def _client(self) -> ChatClient:
        return ChatClient(self.endpoint, Pace(self.endpoint.requests_per_minute).take_turn)

    @cached_property
    def _replies(self) -> KeptReplies:
        return KeptReplies(self._folder)

    @cached_property
    def _loop(self) -> asyncio.Runner:
        return asyncio.Runner()
