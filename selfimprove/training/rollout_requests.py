"""Requests for the rollouts of one optimizer step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from selfimprove.records import Message, ReinforcementPrompt, Request
from selfimprove.seeds import derive_seed


class RolloutRequests:
    """Makes the requests of a training, one for each chat that the trainer asks for.

    Args:
        settings: How rollouts are sampled: `temperature`, `top_p`, `max_tokens`, and `extra` for the sampler.
        seed: The seed of the training. Each request's seed follows from it and the request's id.
    """

    def __init__(self, prompts: Sequence[ReinforcementPrompt], settings: Mapping[str, Any], seed: int) -> None:
        self._prompts = {_key(prompt.messages): prompt for prompt in prompts}
        self._settings, self._seed, self._made = settings, seed, 0

    def make(self, chats: Sequence[Sequence[Message]]) -> list[Request]:
        """The requests, with ids that read `<problem>/r<number>/s<sample>`; the number counts the calls from 0."""
        number, self._made = self._made, self._made + 1
        samples: Counter[str] = Counter()
        requests = []
        for chat in chats:
            prompt = self._prompts[_key(chat)]
            name = prompt.problem.id
            place = f"{name}/r{number}/s{samples[name]}"
            samples[name] += 1
            seed = derive_seed(self._seed, place)
            requests.append(Request(place, name, prompt.messages, seed=seed, delimiters=prompt.delimiters, **self._settings))
        return requests


def _key(chat: Sequence[Message]) -> tuple[tuple[str, str], ...]:
    return tuple((message["role"], message["content"]) for message in chat)
