"""The address of a server that answers chats, and how it is asked."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.errors.redaction import redact
from selfimprove.records.numbers import Int, NonNegativeInt, PositiveFloat

ASIDE = {"described": False}
"""Settings that change how an endpoint is asked, not what it answers: a run may be continued with another pace, price or key."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ChatEndpoint:
    """A server with an OpenAI-compatible API, and one of its models."""

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

    def __str__(self) -> str:
        """Its address without secrets."""
        return redact(self.url)

    @model_validator(mode="after")
    def _safe(self) -> Self:
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
    def local(self) -> bool:
        """Whether the server runs on this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def key(self) -> str | None:
        """The key, from the environment.

        Raises:
            UserError: the variable is not set.
        """
        key = os.environ.get(self.key_from, "").strip() if self.key_from else None
        if key == "":
            raise UserError(f"{self}: the environment variable {self.key_from} holds no key; set it, or key_from=None for a server without keys")
        return key

    def body(self, sampling: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a request's body besides the model and the chat."""
        return {name: value for name, value in (dict(sampling) | self.extra).items() if value is not None}
