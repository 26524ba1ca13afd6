"""An OpenAI-compatible endpoint as a sampler: where it is, how it is asked, and what it costs."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Sampler
from selfimprove.records import Checkpoint
from selfimprove.records.budgets import Budget, BudgetByDifficulty

if TYPE_CHECKING:
    from selfimprove.sampling.chat_completions import OpenEndpoint

ASIDE = {"described": False}
"""How an endpoint is asked, not what: a run may be continued with another pace, price or key."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Endpoint(Sampler):
    """Samples with the chat completions of a server that serves one model of its own; it cannot load checkpoints, so it is a teacher's sampler."""

    url: str
    """Up to and with its version: `https://api.openai.com/v1`. A key goes over https only, or to this machine."""
    model: str
    """The name under which the endpoint serves it."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields of the request's body, passed through untouched; they come before those of the decoding, and None leaves a field out."""
    key_from: str | None = field(default="OPENAI_API_KEY", metadata=ASIDE)
    """NAME of the environment variable that holds the key, where the run is started and where its worker runs; None where none is asked for."""
    concurrency: Annotated[int, Field(gt=0, le=1000)] = field(default=32, metadata=ASIDE)
    """Requests that are under way at once."""
    requests_per_minute: PositiveFloat | None = field(default=None, metadata=ASIDE)
    """Evenly spaced, those that are tried again included; None: as fast as it answers."""
    retries: NonNegativeInt = field(default=10, metadata=ASIDE)
    """How often a request is tried again after 429, 5xx, a timeout, a lost connection or a malformed answer."""
    timeout: PositiveFloat = field(default=300.0, metadata=ASIDE)
    """Seconds without a sign of the answer after which a request is given up."""
    price_per_million_in: NonNegativeFloat = field(default=0.0, metadata=ASIDE)
    """Of tokens in the prompt, in any currency."""
    price_per_million_out: NonNegativeFloat = field(default=0.0, metadata=ASIDE)
    """Of tokens in the output, reasoning included."""
    resources: Resources = Resources(gpus=0)

    @model_validator(mode="after")
    def _safe(self) -> Endpoint:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url {self.url!r} is no http address such as https://api.openai.com/v1")
        if parts.username or parts.password:
            raise ValueError("the url holds a password: put it into an environment variable and name that in key_from")
        if parts.scheme == "http" and self.key_from and not self.local:
            raise ValueError(
                f"the key of {self.key_from} would travel unencrypted to {parts.hostname}: use https, or key_from=None where none is asked for"
            )
        return self

    @property
    def sequences(self) -> int:
        """Requests that it works on at once."""
        return self.concurrency

    @property
    def local(self) -> bool:
        """Whether the server is on this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def checkpoint(self) -> Checkpoint:
        """What its traces are recorded under; what its weights are cannot be known."""
        return Checkpoint("teacher", f"{self.url} {self.model}", None, 0, "", "")

    def key(self) -> str | None:
        """The key, from the environment.

        Raises:
            UserError: the variable is not set.
        """
        key = os.environ.get(self.key_from, "").strip() if self.key_from else None
        if key == "":
            raise UserError(f"{self.url}: the environment variable {self.key_from} holds no key; set it, or key_from=None where none is asked for")
        return key

    def open(self) -> OpenEndpoint:
        """A client that connects with the first request."""
        from selfimprove.sampling.chat_completions import OpenEndpoint

        return OpenEndpoint(self)


def refuse_budget(budget: Budget | BudgetByDifficulty | None) -> None:
    """A budget is forced token by token, inside an engine.

    Raises:
        UserError: there is one.
    """
    if budget is not None:
        raise UserError(
            "an Endpoint cannot keep a budget of thinking: leave it out (extra passes on what the server itself offers), or sample with VLLM"
        )
