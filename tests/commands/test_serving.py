"""A checkpoint is an ordinary model: vLLM's server loads its folder and chat template, separates thinking from answer, and is an endpoint."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from published import ANSWER, CHAT, THINKING

from selfimprove import Endpoint, PlainQuestion, Sampling, UserError
from selfimprove.records import Problem, Trace
from selfimprove.sampling.sampling import requests_for
from selfimprove.thinking.traces import parsed

pytestmark = pytest.mark.vllm


def asked(url: str, **question: Any) -> Any:
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(question).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_vllm_serves_a_checkpoint(served: tuple[str, Path]) -> None:
    from transformers import AutoTokenizer

    url, folder = served
    answer = asked(url, model=str(folder), messages=CHAT, max_tokens=5, temperature=0)
    assert 0 < answer["usage"]["completion_tokens"] <= 5
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert answer["usage"]["prompt_tokens"] == len(tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False))


def test_the_think_block_of_a_published_model_arrives_as_reasoning(served: tuple[str, Path]) -> None:
    url, folder = served
    message = asked(url, model=str(folder), messages=CHAT, max_tokens=64, temperature=0)["choices"][0]["message"]
    assert (message["reasoning"].strip(), message["content"].strip()) == (THINKING, ANSWER)


def sampled(endpoint: Endpoint, count: int = 1, backwards: bool = False, **decoding: Any) -> dict[str, Trace]:
    problems = [Problem(f"p-{n}", f"What is {n} + {n}?", str(2 * n), "test") for n in range(count)]
    asked_for = list(requests_for(problems, PlainQuestion(), Sampling(n=1, **decoding), "g1", 7))
    opened = endpoint.open()
    try:
        found = [trace for batch in opened.sample(endpoint.checkpoint(), asked_for[::-1] if backwards else asked_for) for trace in batch]
    finally:
        opened.close()
    assert sorted(trace.id for trace in found) == sorted(request.id for request in asked_for)
    return {trace.id: trace for trace in found}


def test_vllm_s_own_server_is_an_endpoint(served: tuple[str, Path]) -> None:
    url, folder = served
    endpoint = Endpoint(url, str(folder), key_from=None, price_per_million_out=1e6)
    first, again = (sampled(endpoint, 6, backwards, temperature=1.0, max_tokens=10) for backwards in (False, True))
    assert len({trace.text for trace in first.values()}) > 1
    assert {name: trace.text for name, trace in first.items()} == {name: trace.text for name, trace in again.items()}
    for trace in first.values():
        assert trace.usage is not None and trace.usage.prompt_tokens > 20
        assert trace.output_tokens <= 10 and trace.usage.cost == trace.output_tokens
        assert trace.finish_reason == ("length" if trace.output_tokens == 10 else "stop")
    with pytest.raises(UserError, match=r"answered 400: .*256.*; the request was for problem p-0"):
        sampled(endpoint, max_tokens=10_000)
    with pytest.raises(UserError, match="it serves no model another"):
        sampled(Endpoint(url, "another", key_from=None))
    forced = {"structured_outputs": {"regex": r"<think>[0-9]</think>[0-9]"}}
    (trace,) = sampled(Endpoint(url, str(folder), key_from=None, extra=forced), max_tokens=60).values()
    assert not parsed(trace).flags and trace.finish_reason == "stop"
