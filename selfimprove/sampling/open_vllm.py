"""A vLLM engine in its worker: it stays warm for the whole run, is fed continuously, and reloads weights in place."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from selfimprove.records import Checkpoint, Request, Trace
from selfimprove.sampling.budget_forcing import carried, has_settings, prove
from selfimprove.sampling.engine import Engine
from selfimprove.sampling.engine_options import require_room
from selfimprove.sampling.outputs import trace_of
from selfimprove.sampling.prompts import prompt_key, thinking_begun
from selfimprove.sampling.rollouts import require_scores, scored_trace
from selfimprove.sampling.sampling_parameters import sampling_parameters

GATHER_SECONDS = 0.2
"""Seconds over which finished traces are collected into one batch, which costs milliseconds to hand over, far more than a trace."""
BATCHES = 4
"""Batches in which as many traces as the engine works on are handed over at least, so that requests for the next ones arrive in time."""
RESTARTS = 2
"""Times in a row that an engine whose process died is started again."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Asked:
    """A request in progress."""

    request: Request
    begun: tuple[bool, str]
    """Whether its output starts inside the thinking, and the thinking before it."""
    prompt: list[int]
    parameters: Any
    outputs: queue.SimpleQueue[Any]
    """Gets itself with each output, or the error that ended it."""


class OpenVLLM:
    """The engine. Only its own thread touches it; all others reach it through a queue. Callers' threads read prompts and make traces."""

    def __init__(self, engine: dict[str, Any], own_process: bool | None = None) -> None:
        self._engine = Engine(engine, own_process)
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._asked: dict[str, _Asked] = {}
        """The requests in progress."""
        self._deaths = 0
        self._reading = threading.Lock()
        """Held by the one thread that uses the tokenizer's settings."""
        self._thread = threading.Thread(target=self._work, name="vllm-engine", daemon=True)
        self._thread.start()

    def sequences(self) -> int:
        """Requests that it works on at once."""
        return self._engine.sequences

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        """One trace for every request, in batches as they finish. An empty batch comes first if an engine has to start for them."""
        return self._sampled(checkpoint, requests)

    def rollouts(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        """As `sample`; each trace is a `Rollout`.

        Raises:
            UserError: the engine would report other probabilities than those it draws from.
        """
        return self._sampled(checkpoint, requests, scored=True)

    def _sampled(self, checkpoint: Checkpoint, requests: Sequence[Request], scored: bool = False) -> Iterator[list[Trace]]:
        if self._engine.must_start(checkpoint, any(map(has_settings, requests))):
            yield []
        outputs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        make = self._submit(checkpoint, requests, outputs, scored=scored)
        missing, most = len(requests), max(1, self.sequences() // BATCHES)
        while missing:
            traces, until = [make(outputs.get())], time.monotonic() + GATHER_SECONDS
            while len(traces) < min(missing, most):
                try:
                    traces.append(make(outputs.get(timeout=max(0.0, until - time.monotonic()))))
                except queue.Empty:
                    break
            missing -= len(traces)
            yield traces

    def watch(self, checkpoint: Checkpoint, request: Request) -> Iterator[tuple[str, bool] | Trace]:
        """The text so far and whether the prompt opens the thinking, after every step; the trace at the end."""
        outputs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        make = self._submit(checkpoint, [request], outputs, watched=True)
        while True:
            item = outputs.get()
            if isinstance(item, BaseException) or item[1].finished:
                yield make(item)
                return
            asked, output = item
            yield output.outputs[0].text, asked.begun[0]

    def rest(self, same_weights: bool = False) -> None:
        """On a GPU that others use too: free its memory until the next `sample`. Weights that are needed again wait in host memory."""
        self._run(lambda: self._engine.sleep(same_weights))

    def close(self) -> None:
        """End the engine and its thread."""
        self._commands.put(None)
        self._thread.join(timeout=30)

    def _submit(
        self, checkpoint: Checkpoint, requests: Sequence[Request], outputs: queue.SimpleQueue[Any], watched: bool = False, scored: bool = False
    ) -> Callable[[Any], Trace]:
        """Send the requests to the engine. Returns what makes a trace of an item of `outputs`, or raises the error that it is."""
        forcing = any(map(has_settings, requests))
        self._run(lambda: self._serve(checkpoint, forcing))
        model, tokenizer = self._engine.llm.llm_engine.vllm_config.model_config, self._engine.llm.get_tokenizer()
        if scored:
            require_scores(requests, model.logprobs_mode)
        with self._reading:
            asked = _read(model, tokenizer, requests, outputs, watched, scored)
        self._run(lambda: self._add(checkpoint, forcing, asked))

        def make(item: Any) -> Trace:
            if isinstance(item, BaseException):
                raise item
            ours, output = item
            trace = trace_of(model, tokenizer, checkpoint, ours.request, ours.begun, output)
            return scored_trace(trace, output.outputs[0].logprobs) if scored else trace

        return make

    # The methods below run on the engine's thread.

    def _work(self) -> None:
        while True:
            busy = bool(self._asked)
            try:
                command = self._commands.get(block=not busy)
                if command is None:
                    return self._engine.shut_down()
                command()
            except queue.Empty:
                self._step()

    def _step(self) -> None:
        try:
            outputs = self._engine.llm.llm_engine.step()
        except BaseException as error:
            try:
                self._start_again(error)
            except BaseException as last:
                for asked in self._asked.values():
                    asked.outputs.put(last)
                self._asked.clear()
            return
        for output in outputs:
            asked = self._asked.pop(output.request_id) if output.finished else self._asked[output.request_id]
            asked.outputs.put((asked, output))
            self._deaths = 0

    def _start_again(self, error: BaseException) -> None:
        """Start another engine, with the requests in progress, in place of one whose process has died. Raises any other error again."""
        from vllm.v1.engine.exceptions import EngineDeadError

        self._deaths += 1
        checkpoint = self._engine.served
        if not isinstance(error, EngineDeadError) or checkpoint is None or self._deaths > RESTARTS:
            raise error
        log.warning("vLLM's process died and is started again, with %d requests", len(self._asked))
        self._engine.shut_down()
        self._engine.serve(checkpoint, False)
        for asked in self._asked.values():
            self._enter(asked)

    def _serve(self, checkpoint: Checkpoint, forcing: bool) -> None:
        if forcing and not self._engine.proven:
            # The test of the engine wants it idle, and so does an engine that has to be started again with the logits processor.
            while self._asked:
                self._step()
        if self._asked and self._engine.served != checkpoint:
            raise RuntimeError(f"asked for {checkpoint.id} while other traces are being sampled")
        if not self._asked:
            self._engine.forget_dead()
        self._engine.serve(checkpoint, forcing)
        if forcing and not self._engine.proven:
            prove(self._engine.llm)
            self._engine.proven = True

    def _add(self, checkpoint: Checkpoint, forcing: bool, requests: list[_Asked]) -> None:
        # Another caller may have asked for other weights since.
        self._serve(checkpoint, forcing)
        for asked in requests:
            self._asked[asked.request.id] = asked
            self._enter(asked)

    def _enter(self, asked: _Asked) -> None:
        from vllm import TokensPrompt
        from vllm.v1.engine.exceptions import EngineDeadError

        # The next step finds an engine dead, and enters its requests again.
        with suppress(EngineDeadError):
            self._engine.llm.llm_engine.add_request(asked.request.id, TokensPrompt(prompt_token_ids=asked.prompt), asked.parameters)

    def _run(self, command: Callable[[], None]) -> None:
        """Run a command on the engine's thread and wait for it."""
        done: Future[None] = Future()

        def guarded() -> None:
            try:
                command()
                done.set_result(None)
            except BaseException as error:
                done.set_exception(error)

        self._commands.put(guarded)
        done.result()


def _read(model: Any, tokenizer: Any, requests: Sequence[Request], outputs: queue.SimpleQueue[Any], watched: bool, scored: bool) -> list[_Asked]:
    """The requests with their tokens."""
    prompts: dict[tuple[tuple[str, str], ...], list[int]] = {}
    asked = []
    for request in requests:
        if (key := prompt_key(request)) not in prompts:
            prompts[key] = tokenizer.apply_chat_template(list(request.messages), add_generation_prompt=True, return_dict=False)
        prompt = prompts[key]
        require_room(request, len(prompt) + len(request.prefix), model.max_model_len)
        begun = thinking_begun(tokenizer, prompt, request)
        parameters = sampling_parameters(request, carried(request, *begun), watched, scored)
        asked.append(_Asked(request, begun, [*prompt, *request.prefix], parameters, outputs))
    return asked
