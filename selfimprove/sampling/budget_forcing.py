"""Budget forcing, stops after a thought and the thought-switching penalty inside vLLM's decoding loop, for a whole batch in one pass.

Imports vLLM, so import it where the engine runs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from selfimprove.errors import UserError
from selfimprove.records import Request
from selfimprove.records.budgets import Budget, SwitchPenalty
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.thinking.forcing import Forcing, Vocabulary, Writing

KEY = "thinking"
"""Key of the thinking settings in a request's `extra_args`."""
GREEDY = 1e-5
"""Temperature below which vLLM decodes greedily."""
LEAST, MOST = 4, 8
"""Limits on the thinking tokens in the test that an engine obeys."""


def carried(request: Request, opened: bool, begun: str) -> dict[str, Any] | None:
    """The thinking settings of a request as `extra_args`; None without any. `opened` and `begun` are those of `Writing`."""
    if request.budget is None and request.switch_penalty is None and request.stop_after_thoughts is None:
        return None
    penalty = asdict(request.switch_penalty) if request.switch_penalty else None
    return {
        KEY: {
            "budget": asdict(request.budget or Budget()),
            "delimiters": asdict(request.delimiters),
            "penalty": penalty,
            "opened": opened,
            "begun": begun,
            "stop_after": request.stop_after_thoughts,
        }
    }


class BudgetForcing(LogitsProcessor):  # type: ignore[misc]
    """Forces the tokens that must come next, and moves the probability of tokens that must not come yet to the continuation."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        """Called by vLLM."""
        self._config = vllm_config.model_config
        self._rows: dict[int, _Row] = {}

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse a request whose budget cannot be read. Raises ValueError."""
        if plain := (sampling_params.extra_args or {}).get(KEY):
            _read(plain)

    def is_argmax_invariant(self) -> bool:
        """False: it changes greedy decoding."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow requests as they enter, move within and leave the batch."""
        process_dict_updates(self._rows, batch_update, lambda parameters, _, written: self._row(parameters, written))

    def apply(self, logits: Tensor) -> Tensor:
        """Change the rows of requests whose budget requires it."""
        due: dict[int, int] = {}
        moved: defaultdict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
        for number, row in self._rows.items():
            row.catch_up()
            if row.penalty and (length := row.writing.thought_tokens) is not None and length < row.penalty.beta:
                logits[number, list(row.switches)] -= row.penalty.alpha
            if (token := row.writing.next) is not None:
                due[number] = token
            elif (target := row.writing.target) is not None:
                moved[target, row.writing.held].append(number)
        for (target, held), numbers in moved.items():
            _move(logits, numbers, [self._rows[number].temperature for number in numbers], target, held)
        if due:
            rows, tokens = list(due), list(due.values())
            logits[rows] = -math.inf
            logits[rows, tokens] = 0.0
        return logits

    def _row(self, parameters: SamplingParams, written: list[int]) -> _Row | None:
        plain = (parameters.extra_args or {}).get(KEY)
        return None if plain is None else _Row(self._config, plain, parameters.temperature, written)


class _Row:
    """A request in the batch."""

    def __init__(self, model: Any, plain: dict[str, Any], temperature: float, written: list[int]) -> None:
        self.writing, self.temperature, self._written = start(model, plain), temperature, written
        self.penalty = _read(plain)[2]
        self.switches = _switches(_vocabulary(model.tokenizer, model.model), self.penalty.words) if self.penalty else ()

    def catch_up(self) -> None:
        """Read the tokens written since the last call; all of them for a request that returns after preemption."""
        for token in self._written[self.writing.position :]:
            self.writing.read(token)


def _move(logits: Tensor, numbers: list[int], temperatures: list[float], target: int, held: tuple[int, ...]) -> None:
    """Move the probability of the held tokens, at the sampler's temperature, to the target."""
    rows = torch.tensor(numbers, device=logits.device)[:, None]
    columns = torch.tensor([*held, *(() if target in held else (target,))], device=logits.device)
    heat = torch.tensor(temperatures, device=logits.device)[:, None]
    those = logits[rows, columns].float()
    together = torch.where(heat < GREEDY, those.amax(1, keepdim=True), (those / heat.clamp(min=GREEDY)).logsumexp(1, keepdim=True) * heat)
    logits[rows, torch.tensor(held, device=logits.device)] = -math.inf
    logits[rows, torch.full_like(rows, target)] = together.to(logits.dtype)


def written(model: Any, request: Request, opened: bool, begun: str, tokens: Sequence[int]) -> tuple[tuple[tuple[int, int], ...], bool]:
    """The half-open spans of an output that were forced, and whether the turn was ended after a thought.

    `model` is the engine's model configuration.

    Raises:
        UserError: the output breaks the budget, so the engine did not obey it.
    """
    asked = carried(request, opened, begun)
    if asked is None:
        return (), False
    writing = _replayed(model, asked[KEY], tokens)
    if writing.violations:
        raise UserError(
            f"vLLM did not obey the budget of {request.id} at token {writing.violations[0]} of its output: {request.budget}; "
            "this version calls logits processors differently: remove the budgets, or install the pinned version"
        )
    found: list[tuple[int, int]] = []
    for position in writing.forced:
        if found and found[-1][1] == position:
            found[-1] = found[-1][0], position + 1
        else:
            found.append((position, position + 1))
    return tuple(found), writing.stopped


def prove(engine: Any) -> None:
    """Let an idle engine write a few tokens under a budget, and check that it obeys.

    Some versions of vLLM accept budgets and ignore them.

    Raises:
        UserError: it does not.
    """
    from vllm import TokensPrompt

    budget = Budget(min_tokens=LEAST, max_tokens=MOST, answer_tokens=1)
    plain = {"budget": asdict(budget), "delimiters": asdict(THINK), "penalty": None, "opened": True, "begun": "", "stop_after": None}
    parameters = SamplingParams(temperature=1.0, seed=0, max_tokens=64, extra_args={KEY: plain})
    model = engine.llm_engine.vllm_config.model_config
    output = engine.generate([TokensPrompt(prompt_token_ids=[0])], parameters, use_tqdm=False)[0].outputs[0]
    writing = _replayed(model, plain, output.token_ids)
    if writing.violations or not LEAST <= writing.thinking_tokens <= MOST or output.finish_reason != "stop":
        raise UserError(
            f"this vLLM does not obey budgets: asked for {LEAST} to {MOST} tokens of thinking, it wrote {writing.thinking_tokens} and ended by "
            f"{output.finish_reason}; remove the budgets from the workflow, or install the pinned version with VLLM_USE_V2_MODEL_RUNNER=0"
        )


def start(model: Any, plain: dict[str, Any]) -> Writing:
    """An output without tokens so far, under the settings from `carried`; `model` is the engine's model configuration."""
    budget, delimiters, _ = _read(plain)
    return Writing(_forcing(_vocabulary(model.tokenizer, model.model), budget, delimiters), plain["opened"], plain["begun"], plain["stop_after"])


def _replayed(model: Any, plain: dict[str, Any], tokens: Sequence[int]) -> Writing:
    writing = start(model, plain)
    for token in tokens:
        writing.read(token)
    return writing


def _read(plain: dict[str, Any]) -> tuple[Budget, Delimiters, SwitchPenalty | None]:
    """The settings from `carried`. Tuples may have become lists in transit."""
    budget, penalty = dict(plain["budget"]), plain["penalty"]
    budget["continuations"] = tuple(budget["continuations"])
    return Budget(**budget), Delimiters(**plain["delimiters"]), SwitchPenalty(**{**penalty, "words": tuple(penalty["words"])}) if penalty else None


@lru_cache(maxsize=64)
def _forcing(vocabulary: Vocabulary, budget: Budget, delimiters: Delimiters) -> Forcing:
    return Forcing(budget, delimiters, vocabulary)


@lru_cache(maxsize=8)
def _switches(vocabulary: Vocabulary, words: tuple[str, ...]) -> tuple[int, ...]:
    return vocabulary.beginning(words)


@lru_cache(maxsize=2)
def _vocabulary(tokenizer: str, model: str) -> Vocabulary:
    from transformers import AutoTokenizer, GenerationConfig

    loaded = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    try:
        ends = GenerationConfig.from_pretrained(model, local_files_only=True).eos_token_id
    except OSError:
        ends = None
    others = ends if isinstance(ends, list) else [ends]
    return Vocabulary.of(loaded, list(dict.fromkeys(end for end in (loaded.eos_token_id, *others) if end is not None)))
