"""A causal language model that reads each prompt once for all completions of it, in the form in which TRL's GRPO calls one.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

PLAIN = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Model types in which only causal attention mixes tokens."""
MOST = 8_192
"""Tokens of the longest pass: its attention mask has the square of that number of entries."""


def shares_prompts(model: Any) -> bool:
    """Whether a model can read prompts once: it computes on a CPU, where each token costs, and takes a mask of its own."""
    config = model.config
    # Without a choice of another attention, transformers takes one on a CPU that accepts a mask.
    return model.device.type == "cpu" and config.model_type in PLAIN and not getattr(config, "sliding_window", None)


class SharedPrompts:
    """Reads a micro-batch as one row: each prompt, followed by its completions. A completion sees its prompt and itself.

    TRL reads every rollout with its prompt and with padding, and computes logits for prompts too. The loss is the same.
    """

    def __init__(self, model: Any, temperature: float) -> None:
        """`temperature` divides the logits."""
        self._model, self._temperature = model, temperature

    def __call__(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, **rest: Any) -> Any:
        """Log-probabilities and entropies of the tokens with a label, each in the column of its token, and 0 elsewhere.

        Args:
            input_ids: [rollouts, columns]: prompts and completions, padded.
            attention_mask: 1 for tokens, 0 for padding.
            labels: the tokens of the completions; -100 elsewhere.
        """
        scored = labels != -100
        prompts = [tuple(row[here].tolist()) for row, here in zip(input_ids, attention_mask.bool() & ~scored, strict=True)]
        # The last token of a completion predicts nothing.
        completions = [row[here].tolist() for row, here in zip(input_ids, scored, strict=True)]
        if sum(map(len, {*prompts})) + sum(len(completion) for completion in completions) > MOST:
            return self._model(input_ids=input_ids, attention_mask=attention_mask, labels=labels, **rest)
        tokens, places, readers, ends = _once(prompts)
        sources: list[list[int]] = []
        for number, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            begin, end = len(tokens), ends[prompt]
            read = completion[:-1]
            sources.append([end, *range(begin, begin + len(read))][: len(completion)])
            tokens += read
            places += range(len(prompt), len(prompt) + len(read))
            readers += [(readers[end][0], number)] * len(read)
        logits = self._logits(tokens, places, readers, [source for row in sources for source in row])
        logs = (logits / self._temperature).log_softmax(-1)
        targets = torch.tensor([token for completion in completions for token in completion], device=logs.device)
        values = torch.zeros(labels.shape, dtype=logs.dtype, device=logs.device)
        with torch.no_grad():
            entropies = values.masked_scatter(scored, -(logs.exp() * logs).sum(-1))
        return SimpleNamespace(log_probs=values.masked_scatter(scored, logs.gather(1, targets[:, None])[:, 0]), entropy=entropies)

    def _logits(self, tokens: list[int], places: list[int], readers: list[tuple[int, int]], sources: list[int]) -> Tensor:
        device, dtype = self._model.device, self._model.dtype
        prompt, completion = torch.tensor(readers, device=device).unbind(1)
        sees = (prompt[:, None] == prompt) & ((completion == -1) | (completion[:, None] == completion))
        sees &= torch.ones_like(sees).tril()
        output = self._model(
            input_ids=torch.tensor([tokens], device=device),
            position_ids=torch.tensor([places], device=device),
            attention_mask=torch.where(sees, 0.0, torch.finfo(dtype).min).to(dtype)[None, None],
            logits_to_keep=torch.tensor(sources, device=device),
            use_cache=False,
        )
        logits: Tensor = output.logits[0].float()
        return logits


def _once(prompts: list[tuple[int, ...]]) -> tuple[list[int], list[int], list[tuple[int, int]], dict[tuple[int, ...], int]]:
    """Different prompts end to end: their tokens, positions, readers as (number of the prompt, -1), and where each ends."""
    tokens: list[int] = []
    places: list[int] = []
    readers: list[tuple[int, int]] = []
    ends: dict[tuple[int, ...], int] = {}
    for number, prompt in enumerate(dict.fromkeys(prompts)):
        tokens += prompt
        places += range(len(prompt))
        readers += [(number, -1)] * len(prompt)
        ends[prompt] = len(tokens) - 1
    return tokens, places, readers, ends
