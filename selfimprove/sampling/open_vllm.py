"""A vLLM engine in its worker: it stays warm for the whole run, is fed continuously, and reloads weights in place."""

from __future__ import annotations

import gc
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.folders import architecture
from selfimprove.errors import UserError
from selfimprove.records import Checkpoint, Request, Trace
from selfimprove.sampling.engine_options import engine_defaults, require_room
from selfimprove.sampling.prompts import prompt_key, thinking_begun
from selfimprove.sampling.sampling_parameters import sampling_parameters

GATHER_SECONDS = 0.2
"""Seconds over which finished traces are collected into one batch: handing over costs milliseconds, far more than a trace."""


class OpenVLLM:
    """The engine. Only its own thread touches it; all others reach it through a queue."""

    def __init__(self, engine: dict[str, Any]) -> None:
        self._options = engine
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._owners: dict[str, tuple[Request, tuple[bool, str], queue.SimpleQueue[Any]]] = {}
        """The requests in progress: each with the thinking before its output, and the queue for its trace."""
        self._llm: Any = None
        self._served: Checkpoint | None = None
        self._built: tuple[Any, ...] = ()
        """The architecture and the tokenizer that the engine was started with."""
        self._asleep = False
        self._proven = False
        """Whether the engine has shown that it obeys budgets."""
        self._thread = threading.Thread(target=self._work, name="vllm-engine", daemon=True)
        self._thread.start()

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        """One trace for every request, in batches as they finish."""
        finished: queue.SimpleQueue[Trace | BaseException] = queue.SimpleQueue()
        self._run(lambda: self._submit(checkpoint, requests, finished))
        missing = len(requests)
        while missing:
            batch = [finished.get()]
            if missing > 1:
                time.sleep(GATHER_SECONDS)
            while not finished.empty():
                batch.append(finished.get())
            traces = [item for item in batch if isinstance(item, Trace)]
            for item in batch:
                if isinstance(item, BaseException):
                    raise item
            missing -= len(traces)
            yield traces

    def watch(self, checkpoint: Checkpoint, request: Request) -> Iterator[tuple[str, bool] | Trace]:
        """The text so far and whether the prompt opens the thinking, after every step; the trace at the end."""
        written: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._run(lambda: self._submit(checkpoint, [request], written, watched=True))
        while True:
            item = written.get()
            if isinstance(item, BaseException):
                raise item
            yield item
            if isinstance(item, Trace):
                return

    def rest(self) -> None:
        """On a GPU: move the weights out and drop the cache until the next `sample`."""
        self._run(self._sleep)

    def close(self) -> None:
        """End the engine and its thread."""
        self._commands.put(None)
        self._thread.join(timeout=30)

    # The methods below run on the engine's thread.

    def _work(self) -> None:
        while True:
            busy = bool(self._owners)
            try:
                command = self._commands.get(block=not busy)
                if command is None:
                    return self._shut_down()
                command()
            except queue.Empty:
                self._step()

    def _step(self) -> None:
        try:
            outputs = self._llm.llm_engine.step()
        except BaseException as error:
            for _, _, finished in self._owners.values():
                finished.put(error)
            self._owners.clear()
            return
        for output in outputs:
            if not output.finished:
                _, begun, written = self._owners[output.request_id]
                written.put((output.outputs[0].text, begun[0]))
            else:
                request, begun, finished = self._owners.pop(output.request_id)
                try:
                    finished.put(self._trace(request, *begun, output))
                except UserError as error:
                    finished.put(error)

    def _submit(self, checkpoint: Checkpoint, requests: Sequence[Request], finished: queue.SimpleQueue[Any], watched: bool = False) -> None:
        from vllm import TokensPrompt

        from selfimprove.sampling.budget_forcing import carried

        self._serve(checkpoint)
        if any(request.budget or request.stop_after_thoughts for request in requests):
            self._prove_budgets()
        tokenizer = self._llm.get_tokenizer()
        prompts: dict[tuple[tuple[str, str], ...], list[int]] = {}
        room = self._llm.llm_engine.vllm_config.model_config.max_model_len
        for request in requests:
            if (key := prompt_key(request)) not in prompts:
                prompts[key] = tokenizer.apply_chat_template(list(request.messages), add_generation_prompt=True, return_dict=False)
            require_room(request, len(prompts[key]) + len(request.prefix), room)
        begun = [thinking_begun(tokenizer, prompts[prompt_key(request)], request) for request in requests]
        parameters = [sampling_parameters(request, carried(request, *so_far), watched) for request, so_far in zip(requests, begun, strict=True)]
        for request, so_far, chosen in zip(requests, begun, parameters, strict=True):
            self._owners[request.id] = (request, so_far, finished)
            prompt = TokensPrompt(prompt_token_ids=[*prompts[prompt_key(request)], *request.prefix])
            self._llm.llm_engine.add_request(request.id, prompt, chosen)

    def _prove_budgets(self) -> None:
        """Test that the engine obeys budgets, before its first one and after finishing all requests in progress."""
        from selfimprove.sampling.budget_forcing import prove

        while self._owners and not self._proven:
            self._step()
        if not self._proven:
            prove(self._llm)
            self._proven = True

    def _serve(self, checkpoint: Checkpoint) -> None:
        """Make the engine hold these weights: reload them in place if nothing else differs, else start another engine."""
        if self._asleep:
            self._llm.wake_up()
            self._asleep = False
        if self._served == checkpoint:
            return
        if self._served is not None and self._owners:
            raise RuntimeError(f"asked for {checkpoint.id} while traces of {self._served.id} are being sampled")
        built = architecture(Path(checkpoint.path)), checkpoint.tokenizer_hash
        if built != self._built:
            # Reloaded in place, a model with fewer layers would silently keep the other layers of the previous one.
            self._shut_down()
        if self._llm is None:
            import torch
            from vllm import LLM

            from selfimprove.sampling.logits_processors import BudgetForcing

            # vLLM's attention uses AMX without asking the kernel for it; if nothing else has asked, as with one short prompt, the process dies.
            # The function has no public name. It does nothing on a machine without AMX.
            torch.cpu._init_amx()

            processors = [BudgetForcing, *self._options.get("logits_processors", ())]
            self._llm = LLM(**(engine_defaults(Path(checkpoint.path), self._options) | self._options | {"logits_processors": processors}))
        else:
            self._llm.collective_rpc("reload_weights", kwargs={"weights_path": checkpoint.path})
            # Its blocks were computed with the previous weights.
            self._llm.reset_prefix_cache()
        self._served, self._built = checkpoint, built

    def _sleep(self) -> None:
        if self._llm is not None and self._llm.llm_engine.vllm_config.model_config.enable_sleep_mode:
            self._llm.sleep(level=1)
            self._asleep = True

    def _trace(self, request: Request, opened: bool, begun: str, output: Any) -> Trace:
        from selfimprove.sampling.budget_forcing import written

        completion = output.outputs[0]
        assert self._served is not None
        forced, stopped = written(self._llm.llm_engine.vllm_config.model_config, request, opened, begun, completion.token_ids)
        return Trace(
            id=request.id,
            problem_id=request.problem_id,
            checkpoint_id=self._served.id,
            prompt_token_ids=tuple(output.prompt_token_ids),
            output_token_ids=tuple(completion.token_ids),
            # vLLM's text ends before a stop string, its tokens behind it; a trace's text is what its tokens say.
            text=self._llm.get_tokenizer().decode(list(completion.token_ids), clean_up_tokenization_spaces=False)
            if isinstance(completion.stop_reason, str)
            else completion.text,
            forced=forced,
            finish_reason="thought" if stopped else completion.finish_reason or "unknown",
            temperature=request.temperature,
            seed=request.seed,
            delimiters=request.delimiters,
            opened=opened,
        )

    def _shut_down(self) -> None:
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm, self._served, self._proven = None, None, False
            # Frees the cache of keys and values before another engine allocates its own.
            gc.collect()

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
