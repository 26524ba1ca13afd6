"""The context of an engine: the model's own, as far as the machine's memory goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfimprove.sampling.engine_options import engine_context, engine_defaults, model_context

# Qwen3-0.6B: 2 · 28 layers · 8 heads · 128 · 2 bytes are 112 KiB per token.
QWEN3 = {
    "max_position_embeddings": 40960,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "hidden_size": 1024,
}


@pytest.fixture(autouse=True)
def _without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def model(folder: Path, **config: Any) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({"max_position_embeddings": 8192}, 8192),
        ({}, 2048),
        ({"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4.0}}, 16384),
        ({"max_position_embeddings": 4096, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, 8192),
        ({"max_position_embeddings": 131072, "rope_scaling": {"rope_type": "llama3", "factor": 32.0}}, 131072),
        ({"max_position_embeddings": 131072, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, 131072),
        (
            {"max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "rope_scaling": {"rope_type": "longrope", "factor": 32}},
            4096,
        ),
        ({"text_config": {"max_position_embeddings": 1024}}, 1024),
    ],
)
def test_a_model_s_own_context_is_read_as_vllm_reads_it(tmp_path: Path, config: dict[str, Any], context: int) -> None:
    assert model_context(model(tmp_path, **config)) == context


def test_on_the_cpu_the_cache_bounds_the_context(tmp_path: Path) -> None:
    folder = model(tmp_path, **QWEN3)
    assert engine_context(folder, {}) == ((1 << 30) // (112 << 10) // 32 - 1) * 32 == 9312
    assert engine_context(folder, {"kv_cache_memory_bytes": 8 << 30}) == 40960
    assert engine_context(folder, {"dtype": "float32"}) == 4640
    assert engine_context(folder, {"num_gpu_blocks_override": 11}) == 320
    assert engine_context(folder, {"max_model_len": 512}) == 512
    assert engine_defaults(folder, {})["max_model_len"] == engine_defaults(folder, {})["max_num_batched_tokens"] == 9312


def test_on_a_gpu_vllm_fits_the_context_to_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    folder = model(tmp_path, **QWEN3)
    assert engine_defaults(folder, {})["max_model_len"] == -1 and engine_context(folder, {}) == 40960
