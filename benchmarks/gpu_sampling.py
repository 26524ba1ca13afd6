"""The steps of `python -m benchmarks.gpu` that sample: in the loop, and with vLLM alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, figure
from benchmarks.gpu_models import COMMAND, model

TOKENS = {30: 4096, 1000: 768}
"""Output lengths, and the number of requests of each."""


def _requests(count: int, tokens: int) -> tuple[list[Any], Sequence[Any]]:
    from selfimprove import PlainQuestion, Sampling
    from selfimprove.records import Problem
    from selfimprove.sampling.sampling import requests_for

    problems = [Problem(f"p{n}", f"Tell a story about {n}, and compute {n} + {7 * n}.", str(8 * n), "bench") for n in range(count)]
    return problems, requests_for(problems, PlainQuestion(), Sampling(n=1, temperature=0.8, max_tokens=tokens), f"bench-{tokens}")


def _counts(small: bool) -> dict[int, int]:
    return {tokens: 8 if small else count for tokens, count in TOKENS.items() if not small or tokens == 30}


def loop(name: str, folder: Path, small: bool) -> list[Figure]:
    """Sampling as in a run: Ray actor, verdicts, shards on disk."""
    from selfimprove import VLLM, LastNumber, RayCluster
    from selfimprove.checkpoints.folders import describe_folder
    from selfimprove.sampling.stream import stream_traces
    from selfimprove.storage.shards import JudgedShards
    from selfimprove.verification.pool import VerifierPool
    from selfimprove.verification.stream import stream_verdicts

    checkpoint, command = describe_folder(model(name, folder, small), "base"), f"{COMMAND} loop-{name}"
    sampler, pool = VLLM(engine={"max_model_len": 2048}), VerifierPool(LastNumber())
    figures = []
    with RayCluster() as cluster:

        def sample(problems: list[Any], requests: Sequence[Any]) -> float:
            with tempfile.TemporaryDirectory() as place:
                began, shards, tokens = time.perf_counter(), JudgedShards(Path(place), requests), 0
                for judged in stream_verdicts(pool, problems, stream_traces(sampler, checkpoint, [requests], cluster), cluster):
                    shards.add(judged)
                    tokens += sum(item.trace.output_tokens for item in judged)
                return tokens / (time.perf_counter() - began)

        began = time.perf_counter()
        sample(*_requests(1, 8))
        figures.append(figure(f"{name}: first start, to the first trace", "≤ 40 s", [time.perf_counter() - began], command, "s"))
        for tokens, count in _counts(small).items():
            problems, requests = _requests(count, tokens)
            sample(problems[:4], requests[:4])
            rate = sample(problems, requests)
            figures.append(figure(f"{name}: sampled tokens/s in the loop, {tokens:,} tokens", "", [rate], command, "1/s", f"{count:,} requests"))
    return figures


def bare(name: str, folder: Path, small: bool) -> list[Figure]:
    """`LLM.generate` with vLLM's own defaults, on the same requests."""
    from vllm import LLM, SamplingParams, TokensPrompt

    engine = LLM(model=str(model(name, folder, small)), dtype="bfloat16", max_model_len=2048, use_tqdm_on_load=False)
    tokenizer, figures = engine.get_tokenizer(), []

    def generate(requests: Sequence[Any]) -> float:
        began = time.perf_counter()
        chats = [tokenizer.apply_chat_template(list(one.messages), add_generation_prompt=True, return_dict=False) for one in requests]
        settings = [SamplingParams(temperature=one.temperature, top_p=one.top_p, max_tokens=one.max_tokens, seed=one.seed) for one in requests]
        outputs = engine.generate([TokensPrompt(prompt_token_ids=chat) for chat in chats], settings, use_tqdm=False)
        return sum(len(one.outputs[0].token_ids) for one in outputs) / (time.perf_counter() - began)

    for tokens, count in _counts(small).items():
        _, requests = _requests(count, tokens)
        generate(requests[:4])
        rate, told = generate(requests), f"{name}: sampled tokens/s of bare vLLM, {tokens:,} tokens"
        figures.append(figure(told, "", [rate], f"{COMMAND} bare-{name}", "1/s", f"{count:,} requests"))
    return figures
