"""What `check` finds out about `direct_share`: whether thinking can be left out of the rows, and which tokens stand in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from selfimprove.checkpoints.empty_block import forced_block, require_switchable, switched_block
from selfimprove.commands.finding import Finding
from selfimprove.errors import UserError
from selfimprove.sampling.endpoint import Endpoint
from selfimprove.training.on_policy_distillation import OnPolicyDistillation
from selfimprove.workflow.workflow import Workflow

NAME = "direct rows"
"""Name of the finding."""


def direct_findings(workflow: Workflow, model: Path) -> Iterator[Finding]:
    """Whether a model can learn to answer with and without thinking as the workflow says; none without `direct_share`."""
    if not workflow.direct_share:
        return
    if isinstance(workflow.sampler, Endpoint):
        yield Finding(NAME, False, "an Endpoint cannot switch thinking off in the evaluation; sample with VLLM, or set direct_share=0")
        return
    if isinstance(workflow.trainer, OnPolicyDistillation):
        yield Finding(NAME, False, "OnPolicyDistillation trains on questions alone, so no row teaches to answer at once; set direct_share=0")
        return
    try:
        require_switchable(model, workflow.delimiters)
        blocks = [forced_block(model, workflow.delimiters, opened=False), switched_block(model)]
    except UserError as error:
        yield Finding(NAME, False, str(error))
        return
    shown = " and ".join(dict.fromkeys(repr(block.text) for block in blocks if block))
    share = f"{workflow.direct_share:.0%} of the rows, at most one for each row with thinking"
    yield Finding(NAME, True, f"{shown} in place of the thinking, without loss, in {share}")
