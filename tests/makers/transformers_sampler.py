"""A sampler of rollouts in this process: transformers' `generate`, up to the token limit, with the log-probability of every token."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from selfimprove.records import Checkpoint, JudgedTrace, Outcome, Request, Rollout, Verdict


def rollouts_of(checkpoint: Checkpoint, requests: Sequence[Request], right: Callable[[str], bool], offset: float = 0.0) -> list[JudgedTrace]:
    """A judged rollout for each request; `offset` is added to every log-probability, as by a sampler that computes otherwise."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint.path)
    model = AutoModelForCausalLM.from_pretrained(checkpoint.path, dtype="float32")
    chats = {json.dumps(request.messages): [] for request in requests}
    for request in requests:
        chats[json.dumps(request.messages)].append(request)
    judged = {}
    for alike in chats.values():
        prompt = tokenizer.apply_chat_template(list(alike[0].messages), add_generation_prompt=True, return_dict=False)
        torch.manual_seed(alike[0].seed)
        with torch.no_grad():
            wholes = model.generate(
                torch.tensor([prompt] * len(alike)), do_sample=True, top_k=0, max_new_tokens=alike[0].max_tokens, eos_token_id=-1, pad_token_id=0
            )
            scores = model(wholes).logits[:, len(prompt) - 1 : -1].log_softmax(-1)
        for request, whole, score in zip(alike, wholes[:, len(prompt) :], scores, strict=True):
            text, logprobs = tokenizer.decode(whole), (score.gather(1, whole[:, None])[:, 0] + offset).tolist()
            known = (request.id, request.problem_id, checkpoint.id, tuple(prompt), tuple(whole.tolist()), text, (), "length", 1.0, request.seed)
            outcome = Outcome.CORRECT if right(text) else Outcome.WRONG
            judged[request.id] = JudgedTrace(
                Rollout(*known, logprobs=tuple(logprobs)), Verdict(request.id, outcome, None, "here", "1", outcome.score)
            )
    return [judged[request.id] for request in requests]
