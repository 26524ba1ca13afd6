"""Prompts read once for all their completions: the same numbers as rollout by rollout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.trl
def test_log_probabilities_entropies_and_gradients_are_those_of_padded_rows(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two prompts of 7 and 5 tokens, six completions of 0 to 4, of which two are the same."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    from selfimprove.training import shared_prompts
    from selfimprove.training.small import packing

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32")
    add_fused_lm_head(model, temperature=0.7, outputs=("log_probs", "entropy"))
    assert shared_prompts.shares_prompts(model)
    model.set_attn_implementation(shared_prompts.NAME)
    torch.manual_seed(0)
    prompts = [torch.randint(5, 100, (length,)) for length in (7, 5)]
    completions = [torch.randint(5, 100, (length,)) for length in (4, 1, 3, 2)]
    rows = [(prompts[0], completions[0]), (prompts[1], completions[1]), (prompts[0], completions[2]), (prompts[1], completions[3])]
    rows += [rows[0], (prompts[1], prompts[1][:0])]
    ids, mask, labels = torch.zeros(6, 11, dtype=torch.long), torch.zeros(6, 11, dtype=torch.long), torch.full((6, 11), -100)
    for number, (prompt, completion) in enumerate(rows):
        end = 7 + len(completion)
        ids[number, 7 - len(prompt) : end], mask[number, 7 - len(prompt) : end] = torch.cat([prompt, completion]), 1
        labels[number, 7:end] = completion
    weights = torch.randn(6, 11)

    def read(reader: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        model.zero_grad()
        output = reader(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
        scored = labels != -100
        # TRL has no column for the first token.
        scored, logprobs, entropies = scored[:, -4:], output.log_probs[:, -4:], output.entropy[:, -4:]
        (logprobs * weights[:, -4:])[scored].sum().backward()
        gradients = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
        return logprobs[scored].detach(), entropies[scored].detach(), gradients

    plain, shared = read(model), read(shared_prompts.SharedPrompts(model, 0.7))
    # Rows this long take torch's fused attention.
    monkeypatch.setattr(packing, "SHORT", 8)
    long = read(shared_prompts.SharedPrompts(model, 0.7))
    for one, other, third in zip(plain, shared, long, strict=True):
        assert torch.allclose(one, other, atol=1e-5) and torch.allclose(one, third, atol=1e-5)
