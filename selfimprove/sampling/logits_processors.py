"""Budget forcing and the thought-switching penalty as logits processors, one for each of vLLM's two model runners.

Imports vLLM, so import it where the engine runs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate
from vllm.v1.sample.logits_processor import LogitsProcessor as FirstInterface
from vllm.v1.sample.logits_processor.builtin import process_dict_updates
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState
from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as SecondInterface

from selfimprove.sampling.budget_forcing import KEY, penalty_in, start, vocabulary_of
from selfimprove.thinking.forcing import Vocabulary, Writing

GREEDY = 1e-5
"""Temperature below which vLLM decodes greedily."""


class BudgetForcing(FirstInterface, SecondInterface):  # type: ignore[misc]
    """Forces the tokens that must come next, and moves the probability of tokens that must not come yet to the continuation.

    The class that an engine is given. Each model runner makes its processors with arguments of its own, which tell the two apart.
    """

    def __new__(cls, vllm_config: VllmConfig, *state: Any) -> Any:
        """The processor for the model runner that calls."""
        return SecondRunner(vllm_config, *state) if isinstance(state[0], LogitsProcRequestState) else FirstRunner(vllm_config, *state)

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse a request whose budget cannot be read. Raises ValueError."""
        if plain := (sampling_params.extra_args or {}).get(KEY):
            penalty_in(plain)


class FirstRunner(FirstInterface):  # type: ignore[misc]
    """For the first model runner, whose rows move within the batch."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        """Called by vLLM."""
        self._config = vllm_config.model_config
        self._rows: dict[int, tuple[_Forced, list[int]]] = {}
        """By row: a request, and the list that its output grows in."""

    def is_argmax_invariant(self) -> bool:
        """False: it changes greedy decoding."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow requests as they enter, move within and leave the batch."""
        process_dict_updates(self._rows, batch_update, self._row)

    def _row(self, parameters: SamplingParams, _: Any, written: list[int]) -> tuple[_Forced, list[int]] | None:
        forced = _forced(self._config, parameters)
        return (forced, written) if forced else None

    def apply(self, logits: Tensor) -> Tensor:
        """Change the rows of requests whose budget requires it."""
        for forced, written in self._rows.values():
            # All of them for a request that returns after preemption.
            forced.read(written[forced.writing.position :])
        return _change(logits, [(number, forced, forced.writing) for number, (forced, _) in self._rows.items()])


class SecondRunner(SecondInterface):  # type: ignore[misc]
    """For the second model runner, which keeps requests in slots and their tokens on the device.

    The last tokens are copied while the device computes the next logits, so that reading them costs no step.
    """

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        """Called by vLLM."""
        self._config, self._state = vllm_config.model_config, req_states
        drafts = vllm_config.speculative_config.num_speculative_tokens if vllm_config.speculative_config else 0
        self._drafts = bool(drafts)
        self._window = drafts + 1
        """Tokens that one step can add to a request."""
        self._slots: dict[int, _Forced] = {}
        self._indices: Tensor | None = None
        """The slots on the device; None after they have changed."""
        self._copy: tuple[Tensor, list[int], torch.Event | None] | None = None
        """For the slots beside it: their lengths and last tokens, and the event after which these are there."""

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Follow the request that now has this slot. Returns whether its logits may be changed."""
        before = self._slots.pop(req_idx, None)
        if forced := _forced(self._config, sampling_params):
            self._slots[req_idx] = forced
        if before or forced:
            self._indices = self._copy = None
        return forced is not None

    def apply_staged_writes(self) -> None:
        """Start to copy the tokens that the previous step wrote."""
        if not self._slots:
            return
        device, slots = self._state.device, list(self._slots)
        if self._indices is None:
            self._indices = _sent(slots, device)
        lengths = self._state.total_len.gpu[self._indices].long()
        places = (lengths[:, None] - self._window + torch.arange(self._window, device=device)).clamp(min=0)
        last = self._state.all_token_ids.gpu[self._indices[:, None], places].long()
        packed, event = torch.cat([lengths[:, None], last], dim=1), None
        if device.type == "cuda":
            packed, event = packed.to("cpu", non_blocking=True), torch.Event(device)
            event.record()
        self._copy = packed, slots, event

    def apply(self, logits: Tensor, ctx: LogitsContext) -> Tensor:
        """Change the rows of requests whose budget requires it."""
        batch = self._slots.keys() & set(ctx.idx_mapping_np.tolist())
        if not batch:
            return logits
        self._read_copy()
        if not self._drafts:
            slots = enumerate(ctx.idx_mapping_np.tolist())
            return _change(logits, [(row, self._slots[slot], self._slots[slot].writing) for row, slot in slots if slot in batch])
        # A request has one row for its next token and one behind each draft.
        rows = []
        drafts = ctx.input_ids.tolist()
        for (row, slot), place in zip(enumerate(ctx.expanded_idx_mapping.tolist()), ctx.expanded_local_pos.tolist(), strict=True):
            if slot in batch:
                writing = self._slots[slot].writing
                rows.append((row, self._slots[slot], writing.ahead(drafts[row - place + 1 : row + 1]) if place else writing))
        return _change(logits, rows)

    def _read_copy(self) -> None:
        """Read the tokens that the previous step wrote."""
        if self._copy is None:
            return
        (packed, slots, event), self._copy = self._copy, None
        if event:
            event.synchronize()
        for slot, (length, *last) in zip(slots, packed.tolist(), strict=True):
            begin = int(self._state.prompt_len.np[slot])
            forced = self._slots[slot]
            missing = length - begin - forced.writing.position
            if missing > self._window:
                # A request that returns after preemption.
                forced.read(self._state.all_token_ids.gpu[slot, length - missing : length].tolist())
            elif missing > 0:
                forced.read(last[-missing:])


class _Forced:
    """A request with thinking settings."""

    def __init__(self, model: Any, plain: dict[str, Any], temperature: float) -> None:
        self.writing, self.temperature, self.penalty = start(model, plain), temperature, penalty_in(plain)
        self.switches = _switches(vocabulary_of(model), self.penalty.words) if self.penalty else ()

    def read(self, tokens: Sequence[int]) -> None:
        """Read the next tokens of its output."""
        for token in tokens:
            self.writing.read(token)


def _forced(model: Any, parameters: SamplingParams) -> _Forced | None:
    plain = (parameters.extra_args or {}).get(KEY)
    return None if plain is None else _Forced(model, plain, parameters.temperature)


@lru_cache(maxsize=8)
def _switches(vocabulary: Vocabulary, words: tuple[str, ...]) -> tuple[int, ...]:
    return vocabulary.beginning(words)


def _change(logits: Tensor, rows: Iterable[tuple[int, _Forced, Writing]]) -> Tensor:
    """Change, in place, the rows whose output so far requires it."""
    due: dict[int, int] = {}
    moved: defaultdict[tuple[int, tuple[int, ...]], dict[int, float]] = defaultdict(dict)
    for number, row, writing in rows:
        if row.penalty and (length := writing.thought_tokens) is not None and length < row.penalty.beta:
            logits[number, _columns(row.switches, logits.device)] -= row.penalty.alpha
        if (token := writing.next) is not None:
            due[number] = token
        elif (target := writing.target) is not None:
            moved[target, writing.held][number] = row.temperature
    for (target, held), numbers in moved.items():
        _move(logits, numbers, target, held)
    if due:
        forced, tokens = _sent(list(due), logits.device), _sent(list(due.values()), logits.device)
        logits[forced] = -math.inf
        logits[forced, tokens] = 0.0
    return logits


def _move(logits: Tensor, temperatures: dict[int, float], target: int, held: tuple[int, ...]) -> None:
    """Move, in the rows of these numbers, the probability of the held tokens, at the sampler's temperature, to the target."""
    rows = _sent(list(temperatures), logits.device)[:, None]
    columns = _columns(held if target in held else (*held, target), logits.device)
    heat = _sent(list(temperatures.values()), logits.device, torch.float32)[:, None]
    those = logits[rows, columns].float()
    together = torch.where(heat < GREEDY, those.amax(1, keepdim=True), (those / heat.clamp(min=GREEDY)).logsumexp(1, keepdim=True) * heat)
    logits[rows, _columns(held, logits.device)] = -math.inf
    logits[rows, torch.full_like(rows, target)] = together.to(logits.dtype)


def _sent(values: list[Any], device: torch.device, dtype: torch.dtype = torch.long) -> Tensor:
    """The values on the device, without waiting for what it computes."""
    return torch.tensor(values, dtype=dtype, pin_memory=device.type == "cuda").to(device, non_blocking=True)


@lru_cache(maxsize=256)
def _columns(tokens: tuple[int, ...], device: torch.device) -> Tensor:
    return _sent(list(tokens), device)
