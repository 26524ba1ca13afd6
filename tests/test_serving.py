"""A checkpoint is an ordinary model: vLLM's server takes the folder as it is, with its tokenizer and chat template."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.vllm


def test_vllm_serves_a_checkpoint(served: tuple[str, Path]) -> None:
    from transformers import AutoTokenizer

    url, folder = served
    question = {"model": str(folder), "messages": [{"role": "user", "content": "4 + 3 ="}], "max_tokens": 5, "temperature": 0}
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(question).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    assert 0 < answer["usage"]["completion_tokens"] <= 5
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = len(tokenizer.apply_chat_template(question["messages"], add_generation_prompt=True, return_dict=False))
    assert answer["usage"]["prompt_tokens"] == expected
