"""Thinking off: rows that teach a model to answer after an empty block of thinking, and its evaluation there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from selfimprove.checkpoints.empty_block import EmptyBlock, forced_block, switched_block
from selfimprove.checkpoints.tokens import encoder
from selfimprove.records import AcceptedTrace, Checkpoint, Score
from selfimprove.records.budgets import Budget
from selfimprove.seeds import derive_seed
from selfimprove.selection.direct import direct_rows
from selfimprove.stages.context import RunContext
from selfimprove.stages.evaluate import evaluate
from selfimprove.storage.further import THINKING_OFF


def without_thinking(context: RunContext, rows: Sequence[AcceptedTrace], wanted: int, seed: int) -> list[AcceptedTrace]:
    """At most `wanted` of these rows without their thinking, as `selection.direct.direct_rows` draws them.

    Where the chat template has a switch that writes an empty block of its own, every second row has that one.

    Raises:
        UserError: The base model's tokenizer cannot be read apart from its model.
    """
    if not wanted:
        return []
    model, delimiters = context.base.path, context.workflow.delimiters
    forced, encode = {opened: forced_block(model, delimiters, opened) for opened in (False, True)}, encoder(model)
    assert encode is not None
    own = switched_block(model)

    def blocks(opened: bool) -> list[EmptyBlock]:
        # A template that opens the thinking for its switch too adds the end alone.
        return [forced[opened], *([own] if own and delimiters.end in own.text and own.text != forced[opened].text else [])]

    made = direct_rows(rows, wanted, delimiters, blocks, encode, derive_seed(context.workflow.seed, seed))
    if not made:
        context.progress.say(f"direct_share has nothing to leave out: none of {len(rows)} rows has one closed block of thinking")
    return made


def evaluate_thinking_off(context: RunContext, checkpoint: Checkpoint, folder: Path, label: str) -> Score | None:
    """The score of a checkpoint on the evaluation problems after an empty block of thinking; None without `Workflow.direct_share`.

    Args:
        folder: The folder of the generation; gets `thinking-off/` with traces, verdicts and `score.json`.
        label: The checkpoint's name in the progress display.
    """
    workflow = context.workflow
    if not workflow.direct_share:
        return None
    # What is asked thus has no further verdicts and trains nothing.
    asked = replace(workflow, eval_sampling=replace(workflow.eval_sampling, budget=Budget(max_tokens=0)), also=(), direct_share=0.0)
    place = folder / THINKING_OFF
    return evaluate(replace(context, workflow=asked), checkpoint, place, f"{label}, thinking off", name=f"{checkpoint.id}-{THINKING_OFF}")
