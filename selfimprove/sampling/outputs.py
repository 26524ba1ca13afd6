"""A finished output of vLLM as a trace."""

from __future__ import annotations

from typing import Any

from selfimprove.records import Checkpoint, Request, Trace
from selfimprove.sampling.budget_forcing import written


def trace_of(model: Any, tokenizer: Any, checkpoint: Checkpoint, request: Request, begun: tuple[bool, str], output: Any) -> Trace:
    """The trace of a request.

    Args:
        model: The engine's model configuration.
        begun: Whether the output started inside the thinking, and the thinking so far.
        output: vLLM's `RequestOutput`, finished.

    Raises:
        UserError: the output breaks the request's budget.
    """
    completion = output.outputs[0]
    forced, stopped = written(model, request, *begun, completion.token_ids)
    kept = _tokens_of_text(tokenizer, completion)
    return Trace(
        id=request.id,
        problem_id=request.problem_id,
        checkpoint_id=checkpoint.id,
        prompt_token_ids=tuple(output.prompt_token_ids),
        output_token_ids=tuple(completion.token_ids[:kept]),
        text=completion.text,
        forced=tuple((begin, min(end, kept)) for begin, end in forced if begin < kept),
        finish_reason="thought" if stopped else completion.finish_reason or "unknown",
        temperature=request.temperature,
        seed=request.seed,
        delimiters=request.delimiters,
        opened=begun[0],
    )


def _tokens_of_text(tokenizer: Any, completion: Any) -> int:
    """How many tokens the text takes: at a stop string, vLLM's text ends before it, and its tokens behind it."""
    ids = list(completion.token_ids)
    kept = len(ids)
    if isinstance(completion.stop_reason, str):
        while kept and tokenizer.decode(ids[: kept - 1], clean_up_tokenization_spaces=False).startswith(completion.text):
            kept -= 1
    return kept
