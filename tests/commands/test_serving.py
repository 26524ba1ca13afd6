"""A checkpoint is an ordinary model: vLLM's server loads its folder and chat template, and separates thinking from answer."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from published import ANSWER, CHAT, THINKING

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
