"""A checkpoint is an ordinary model: vLLM's server takes the folder as it is, with its tokenizer and chat template."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.vllm


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_vllm_serves_a_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from selfimprove.checkpoints.saving import save_checkpoint

    folder = tmp_path / "checkpoint"
    save_checkpoint(AutoModelForCausalLM.from_pretrained(tiny_model), tiny_model, folder)
    port = free_port()
    # What `vllm serve` runs; the CPU build's own command looks for the metadata of a package called vllm and does not start.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--enforce-eager", "--max-model-len", "256", "--kv-cache-memory-bytes", str(64 << 20)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, tmp_path / "server.log")
            question = {"model": str(folder), "messages": [{"role": "user", "content": "4 + 3 ="}], "max_tokens": 5, "temperature": 0}
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(question).encode(), {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = json.load(response)
        finally:
            server.terminate()
            server.wait(30)
    assert 0 < answer["usage"]["completion_tokens"] <= 5
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = len(tokenizer.apply_chat_template(question["messages"], add_generation_prompt=True, return_dict=False))
    assert answer["usage"]["prompt_tokens"] == expected


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"the server did not answer: {log.read_text()[-2000:]}")
