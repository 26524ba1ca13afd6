"""Lets a training ask for rollouts that others sample: the request leaves with its steps, the answer comes in by a call of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from selfimprove.checkpoints.saving import overwrite_weights, save_checkpoint
from selfimprove.records import Checkpoint, JudgedTrace, Request, RolloutRequest


class TrainingEnded(Exception):
    """Nobody answers any more: the training was closed early."""


class RolloutExchange:
    """The requests of one training and their answers.

    Args:
        start: The model that the training starts from.
        scratch: A folder that the sampler's workers can read; it gets the weights. Two folders in it take turns, so that a request never overwrites
            the weights of the one before.
        weights_every: Number of requests after which the sampler gets new weights.
    """

    def __init__(self, start: Checkpoint, scratch: Path, weights_every: int) -> None:
        self.out: SimpleQueue[Any] = SimpleQueue()
        """Requests that leave."""
        self._answers: SimpleQueue[tuple[int, Sequence[JudgedTrace]] | None] = SimpleQueue()
        self._start, self._scratch, self._weights_every = start, scratch, weights_every
        self._served, self._number = start, 0

    def ask(self, model: Any, requests: Sequence[Request]) -> Sequence[JudgedTrace]:
        """Hand out a request and wait for its answer; called on the training's thread.

        Raises:
            TrainingEnded: the training was closed meanwhile.
            OSError: the weights cannot be written.
        """
        number, self._number = self._number, self._number + 1
        # The first request is sampled from the start itself, which the sampler often holds already.
        if number and number % self._weights_every == 0:
            self._served = self._saved(model, number)
        self.out.put(RolloutRequest(number, self._served, tuple(requests)))
        while (answer := self._answers.get()) is not None:
            answered, rollouts = answer
            if answered == number:
                return rollouts
        raise TrainingEnded

    def answer(self, number: int, rollouts: Sequence[JudgedTrace]) -> None:
        """Give the training what it asked for with this number."""
        self._answers.put((number, rollouts))

    def close(self) -> None:
        """End the waiting."""
        self._answers.put(None)

    def _saved(self, model: Any, number: int) -> Checkpoint:
        folder = self._scratch / f"weights-{number // self._weights_every % 2}"
        if folder.exists():
            overwrite_weights(model, folder)
        else:
            save_checkpoint(model, Path(self._start.path), folder)
        name = f"{self._start.id}/rollouts-{number}"
        # Hashing the weights would take longer than reloading them; the id tells one request's weights from another's.
        return Checkpoint(name, str(folder.resolve()), self._start.id, self._start.generation, "", self._start.tokenizer_hash)


@contextmanager
def exchange_in(scratch: Path, start: Checkpoint, weights_every: int) -> Iterator[RolloutExchange]:
    """An exchange for one training; its folder is removed before and after."""
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        yield RolloutExchange(start, scratch, weights_every)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
