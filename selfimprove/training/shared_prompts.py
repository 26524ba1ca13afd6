"""A causal language model that reads each prompt once for all completions of it, in the form in which TRL's GRPO calls one.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from selfimprove.training.small.packing import PLAIN, packed_attention

NAME = "shared_prompts"
"""The attention's name for `attn_implementation`."""
ENTROPIES_AT_ONCE = 64
"""Tokens whose entropies are computed together. They need two more tensors of the size of their logits."""

Group = tuple[int, int, Tensor, tuple[int, int, int]]
"""A prompt and its completions, end to end: where they begin and end, and `slots` and `grid` for `packed_attention`."""


def shared_prompt_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *, groups: list[Group] | None = None, **rest: Any
) -> tuple[Tensor, None]:
    """Attention within each group, where a completion sees its prompt and itself; without groups, that of torch with the mask."""
    if groups is None:
        mixed, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
        return mixed, None
    parts = []
    for begin, end, slots, grid in groups:
        query_, key_, value_ = (states[:, :, begin:end] for states in (query, key, value))
        parts.append(packed_attention(module, query_, key_, value_, None, slots=slots, grid=grid, **rest)[0])
    return torch.cat(parts, dim=1), None


AttentionInterface.register(NAME, shared_prompt_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def shares_prompts(model: Any) -> bool:
    """Whether a model can read prompts once: it computes on a CPU, where each token costs, and takes an attention of its own."""
    config = model.config
    return model.device.type == "cpu" and config.model_type in PLAIN and not getattr(config, "sliding_window", None)


class SharedPrompts:
    """Reads a micro-batch as one row: each prompt, followed by its completions. A completion sees its prompt and itself.

    TRL reads every rollout with its prompt and with padding, and computes logits for prompts too. The loss is the same.
    """

    def __init__(self, model: Any, temperature: float) -> None:
        """`model` has the attention of this file; `temperature` divides its logits."""
        self._model, self._temperature = model, temperature

    def __call__(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, **_: Any) -> Any:
        """Log-probabilities and entropies of the tokens with a label, each in the column of its token, and 0 elsewhere.

        Args:
            input_ids: [rollouts, columns]: prompts and completions, padded.
            attention_mask: 1 for tokens, 0 for padding.
            labels: the tokens of the completions; -100 elsewhere.
        """
        scored = labels != -100
        prompts = [tuple(row[here].tolist()) for row, here in zip(input_ids, attention_mask.bool() & ~scored, strict=True)]
        completions = [row[here].tolist() for row, here in zip(input_ids, scored, strict=True)]
        logs = self._logits(*_end_to_end(prompts, completions)).div_(self._temperature).log_softmax(-1)
        targets = torch.tensor([token for completion in completions for token in completion])
        values = torch.zeros(labels.shape, dtype=logs.dtype)
        with torch.no_grad():
            each = [-(some.exp() * some).sum(-1) for some in torch.split(logs, ENTROPIES_AT_ONCE)]
            entropies = values.masked_scatter(scored, torch.cat(each))
        return SimpleNamespace(log_probs=values.masked_scatter(scored, logs.gather(1, targets[:, None])[:, 0]), entropy=entropies)

    def _logits(self, tokens: list[int], places: list[int], sources: list[int], groups: list[Group]) -> Tensor:
        output = self._model(
            input_ids=torch.tensor([tokens]),
            position_ids=torch.tensor([places]),
            # A mask of four dimensions is passed on as it is. The groups say who sees what.
            attention_mask=torch.zeros(1, 1, 1, 1),
            groups=groups,
            logits_to_keep=torch.tensor(sources),
            use_cache=False,
        )
        logits: Tensor = output.logits[0].float()
        return logits


def _end_to_end(prompts: list[tuple[int, ...]], completions: list[list[int]]) -> tuple[list[int], list[int], list[int], list[Group]]:
    """The tokens, with each prompt once; their positions; for each token of the completions, the place of the token that predicts it; the groups."""
    tokens: list[int] = []
    places: list[int] = []
    groups: list[Group] = []
    sources: dict[int, list[int]] = {}
    for prompt in dict.fromkeys(prompts):
        numbers = [number for number, other in enumerate(prompts) if other == prompt]
        # The last token of a completion predicts nothing.
        reads = [completions[number][:-1] for number in numbers]
        begin, shared = len(tokens), len(prompt)
        longest = shared + max(map(len, reads))
        tokens += prompt
        places += range(shared)
        slots = list(range(shared))
        for row, (number, read) in enumerate(zip(numbers, reads, strict=True)):
            sources[number] = [begin + shared - 1, *range(len(tokens), len(tokens) + len(read))][: len(completions[number])]
            tokens += read
            places += range(shared, shared + len(read))
            slots += range(row * longest + shared, row * longest + shared + len(read))
        groups.append((begin, len(tokens), torch.tensor(slots), (len(numbers), longest, shared)))
    return tokens, places, [place for number in range(len(prompts)) for place in sources[number]], groups
