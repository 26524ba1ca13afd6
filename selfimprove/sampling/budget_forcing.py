"""Budget forcing, stops after a thought and the thought-switching penalty: what a request to vLLM carries, and what its output shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.chat_form import ends_of, generation_settings
from selfimprove.checkpoints.removed import removed
from selfimprove.errors import UserError
from selfimprove.records import Request
from selfimprove.records.budgets import Budget, SwitchPenalty
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.records.foreign_text import read_object
from selfimprove.thinking.forcing import Forcing, Vocabulary, Writing

KEY = "thinking"
"""Key of the thinking settings in a request's `extra_args`."""
LEAST, MOST = 4, 8
"""Limits on the thinking tokens in the test that an engine obeys."""


def has_settings(request: Request) -> bool:
    """Whether the request has settings that the logits processor obeys."""
    return request.budget is not None or request.switch_penalty is not None or request.stop_after_thoughts is not None


def carried(request: Request, opened: bool, begun: str) -> dict[str, Any] | None:
    """The thinking settings of a request as `extra_args`; None without any. `opened` and `begun` are those of `Writing`."""
    if not has_settings(request):
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
    from vllm import SamplingParams, TokensPrompt

    budget = Budget(min_tokens=LEAST, max_tokens=MOST, answer_tokens=1)
    plain = {"budget": asdict(budget), "delimiters": asdict(THINK), "penalty": None, "opened": True, "begun": "", "stop_after": None}
    parameters = SamplingParams(temperature=1.0, seed=0, max_tokens=64, extra_args={KEY: plain})
    model = engine.llm_engine.vllm_config.model_config
    output = engine.generate([TokensPrompt(prompt_token_ids=[0])], parameters, use_tqdm=False)[0].outputs[0]
    writing = _replayed(model, plain, output.token_ids)
    if writing.violations or not LEAST <= writing.thinking_tokens <= MOST or output.finish_reason != "stop":
        raise UserError(
            f"this vLLM does not obey budgets: asked for {LEAST} to {MOST} tokens of thinking, it wrote {writing.thinking_tokens} and ended by "
            f"{output.finish_reason}; remove the budgets from the workflow, or install the pinned version"
        )


def start(model: Any, plain: dict[str, Any]) -> Writing:
    """An output without tokens so far, under the settings from `carried`; `model` is the engine's model configuration."""
    budget, delimiters = dict(plain["budget"]), Delimiters(**plain["delimiters"])
    # Tuples may have become lists in transit.
    budget["continuations"] = tuple(budget["continuations"])
    forcing = _forcing(vocabulary_of(model), Budget(**budget), delimiters)
    return Writing(forcing, plain["opened"], plain["begun"], plain["stop_after"])


def penalty_in(plain: dict[str, Any]) -> SwitchPenalty | None:
    """The thought-switching penalty among the settings from `carried`."""
    penalty = plain["penalty"]
    return SwitchPenalty(**{**penalty, "words": tuple(penalty["words"])}) if penalty else None


def vocabulary_of(model: Any) -> Vocabulary:
    """What forcing needs from the engine's tokenizer; `model` is the engine's model configuration."""
    # The engine may have started with a checkpoint that the run has removed since; those it gets later have the same tokenizer.
    return _vocabulary(model.model if removed(Path(model.tokenizer)) else model.tokenizer, model.model)


def _replayed(model: Any, plain: dict[str, Any], tokens: Sequence[int]) -> Writing:
    writing = start(model, plain)
    for token in tokens:
        writing.read(token)
    return writing


@lru_cache(maxsize=64)
def _forcing(vocabulary: Vocabulary, budget: Budget, delimiters: Delimiters) -> Forcing:
    return Forcing(budget, delimiters, vocabulary)


@lru_cache(maxsize=2)
def _vocabulary(tokenizer: str, model: str) -> Vocabulary:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    others = ends_of(generation_settings(Path(model)), read_object(Path(model) / "config.json"))
    return Vocabulary.of(loaded, list(dict.fromkeys(end for end in (loaded.eos_token_id, *others) if end is not None)))
