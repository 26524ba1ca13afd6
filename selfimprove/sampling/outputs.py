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
    return Trace(
        id=request.id,
        problem_id=request.problem_id,
        checkpoint_id=checkpoint.id,
        prompt_token_ids=tuple(output.prompt_token_ids),
        output_token_ids=tuple(completion.token_ids),
        # vLLM's text ends before a stop string, its tokens behind it; a trace's text is what its tokens say.
        text=tokenizer.decode(list(completion.token_ids), clean_up_tokenization_spaces=False)
        if isinstance(completion.stop_reason, str)
        else completion.text,
        forced=forced,
        finish_reason="thought" if stopped else completion.finish_reason or "unknown",
        temperature=request.temperature,
        seed=request.seed,
        delimiters=request.delimiters,
        opened=begun[0],
    )
