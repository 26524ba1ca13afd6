"""A vLLM engine: started for a checkpoint, given other weights in place, started again where they do not fit."""

from __future__ import annotations

import gc
import logging
import os
from concurrent.futures import InvalidStateError
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Any

from selfimprove.checkpoints.folders import architecture
from selfimprove.records import Checkpoint
from selfimprove.sampling.engine_failure import failure_in_one_line
from selfimprove.sampling.engine_options import SEQUENCES, engine_defaults
from selfimprove.sampling.engine_process import own_engines, wait_for_end
from selfimprove.sampling.engine_sleep import KEEP, sleep, wake

log = logging.getLogger(__name__)


class Engine:
    """The engine of one sampler. All methods but `sequences` and `must_start` belong to one thread."""

    def __init__(self, options: dict[str, Any], own_process: bool | None) -> None:
        self._options, self._own_process = options, own_process
        self.llm: Any = None
        """vLLM's `LLM`; None before the first start."""
        self.served: Checkpoint | None = None
        self._built: tuple[Any, ...] = ()
        """The architecture and the tokenizer that the engine was started with."""
        self._apart = False
        """Whether it runs in a process of its own."""
        self._asleep = 0
        """The level of its sleep; 0 awake."""
        self.forcing = False
        """Whether any request so far had thinking settings: the engine has the logits processor from then on."""
        self.proven = False
        """Whether the engine has shown that it obeys budgets."""

    @cached_property
    def sequences(self) -> int:
        """Requests that it works on at once: on a GPU, vLLM's own default for that card."""
        import torch

        if chosen := self._options.get("max_num_seqs"):
            return int(chosen)
        if not torch.cuda.is_available():
            return SEQUENCES
        from vllm.engine.arg_utils import EngineArgs
        from vllm.usage.usage_lib import UsageContext

        return int(EngineArgs.get_batch_defaults(world_size=1)[1][UsageContext.LLM_CLASS])

    def must_start(self, checkpoint: Checkpoint, forcing: bool) -> bool:
        """Whether this checkpoint needs another engine: of its architecture, or with the logits processor."""
        if self.llm is None or forcing > self.forcing:
            return True
        return self.served != checkpoint and self._built != _built(checkpoint)

    def serve(self, checkpoint: Checkpoint, forcing: bool) -> None:
        """Hold these weights: reload them in place if nothing else differs, else start another engine.

        Args:
            forcing: Whether requests with thinking settings follow.
        """
        if forcing > self.forcing:
            if self.llm is not None:
                log.warning("vLLM is started again: requests with budgets follow, which need its logits processor")
            self.forcing = True
            self.shut_down()
        if self.served == checkpoint and not self._asleep:
            return
        built = _built(checkpoint)
        if built != self._built:
            # Reloaded in place, a model with fewer layers would silently keep the other layers of the previous one.
            self.shut_down()
        if self.llm is None:
            self._start(Path(checkpoint.path))
        else:
            self._load(checkpoint)
        self.served, self._built, self._asleep = checkpoint, built, 0

    def _load(self, checkpoint: Checkpoint) -> None:
        """Put these weights into the engine that runs, or sleeps."""

        def reload() -> None:
            self.llm.collective_rpc("reload_weights", kwargs={"weights_path": checkpoint.path})

        if self._asleep:
            wake(self.llm, None if self.served == checkpoint and self._asleep == KEEP else reload)
        else:
            reload()
        # Its blocks were computed with the previous weights.
        self.llm.reset_prefix_cache()

    def _start(self, model: Path) -> None:
        import torch

        own_process = self._apart = torch.cuda.is_available() if self._own_process is None else self._own_process
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = str(int(own_process))
        from vllm import LLM

        # vLLM's attention uses AMX without asking the kernel for it; if nothing else has asked, as with one short prompt, the process dies.
        # The function has no public name. It does nothing on a machine without AMX.
        torch.cpu._init_amx()
        options = engine_defaults(model, self._options) | ({"worker_extension_cls": own_engines()} if own_process else {}) | self._options
        if self.forcing:
            from selfimprove.sampling.logits_processors import BudgetForcing

            options["logits_processors"] = [BudgetForcing, *(options.get("logits_processors") or ())]
        with failure_in_one_line():
            self.llm = LLM(**options)
        if own_process:
            core = self.llm.llm_engine.engine_core
            for process in core.resources.engine_manager.processes:
                Thread(target=_report_end, args=(process.pid, core), name="report-end", daemon=True).start()

    def sleep(self, same_weights: bool) -> None:
        """On a GPU that others use too: free its memory until the next `serve`. Weights that are needed again wait in host memory."""
        if self.llm is not None and not self._asleep:
            self._asleep = sleep(self.llm, same_weights)

    def forget_dead(self) -> None:
        """Forget an engine whose process has died, so that `serve` starts another."""
        if self.llm is None or not self._apart:
            return
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            self.llm.llm_engine.is_sleeping()
        except EngineDeadError:
            log.warning("vLLM's process died and is started again")
            self.shut_down()

    def shut_down(self) -> None:
        """End the engine, if there is one."""
        if self.llm is not None:
            self.llm.llm_engine.engine_core.shutdown()
            self.llm, self.served, self.proven, self._asleep = None, None, False, 0
            # Frees the cache of keys and values before another engine allocates its own.
            gc.collect()


def _report_end(process: int, core: Any) -> None:
    """Fail what waits for an engine's process when that has ended: vLLM notices the end of a killed one, but leaves its callers waiting."""
    from vllm.v1.engine.exceptions import EngineDeadError

    wait_for_end(process)
    for call in list(core.utility_results.values()):
        with suppress(InvalidStateError):
            call.set_exception(EngineDeadError())
    core.outputs_queue.put(EngineDeadError())


def _built(checkpoint: Checkpoint) -> tuple[Any, ...]:
    return architecture(Path(checkpoint.path)), checkpoint.tokenizer_hash
