"""The context of an engine: the model's own, as far as the machine's memory goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest

from selfimprove import VLLM, UserError
from selfimprove.protocols.worker_part import ALONE
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
    monkeypatch.setattr("selfimprove.checkpoints.precision.fast_at_bfloat16", lambda: True)


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


@pytest.mark.parametrize(
    ("config", "chosen", "runner", "kernels"),
    [
        ({}, {}, None, {"enable_flashinfer_autotune": False}),
        ({}, {}, "0", {"enable_jit_warmup": False, "enable_flashinfer_autotune": False}),
        ({"quantization_config": {"quant_method": "fp8"}}, {}, "1", None),
        ({"text_config": {"num_local_experts": 8}}, {}, "0", {"enable_jit_warmup": False}),
        ({}, {"quantization": "fp8"}, None, None),
        ({}, {"enable_flashinfer_autotune": True}, "0", None),
    ],
)
def test_on_a_gpu_only_kernels_that_a_request_may_need_are_prepared(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, Any],
    chosen: dict[str, Any],
    runner: str | None,
    kernels: dict[str, bool] | None,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.delenv("VLLM_USE_V2_MODEL_RUNNER", raising=False)
    if runner:
        monkeypatch.setenv("VLLM_USE_V2_MODEL_RUNNER", runner)
    assert engine_defaults(model(tmp_path, **QWEN3, **config), chosen).get("kernel_config") == kernels


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads: Input should be greater than 0"),
        ({"hidden_size": "wide"}, "hidden_size: Input should be a valid integer"),
        ({"max_position_embeddings": -1}, "max_position_embeddings: Input should be greater than 0"),
        ({"max_position_embeddings": float("inf")}, "max_position_embeddings: Input should be a finite number"),
        ({"rope_scaling": [4]}, "rope_scaling: Input should be a valid dictionary"),
        ({"rope_scaling": {"type": "linear", "factor": "four"}}, "rope_scaling.factor: Input should be a valid number"),
        ({"text_config": {"num_hidden_layers": None, "head_dim": {}}}, "head_dim: Input should be a valid integer"),
    ],
    ids=range(7),
)
def test_an_odd_number_in_the_configuration_is_named(tmp_path: Path, config: dict[str, Any], line: str) -> None:
    folder = model(tmp_path, **config)
    for context in (lambda: model_context(folder), lambda: engine_context(folder, {})):
        with pytest.raises(UserError, match=r"config\.json: ") as error:
            context()
        assert line in str(error.value)


def test_the_number_type_is_one_that_the_machine_is_fast_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model(tmp_path, **QWEN3)
    assert engine_defaults(folder, {})["dtype"] == "bfloat16"
    monkeypatch.setattr("selfimprove.checkpoints.precision.fast_at_bfloat16", lambda: False)
    assert engine_defaults(folder, {})["dtype"] == "float32"
    # Its cache then holds half as many tokens.
    assert engine_context(folder, {}) == engine_context(folder, {"dtype": "float32"}) == 4640
    assert engine_defaults(folder, {"quantization": "awq"})["dtype"] == "bfloat16"
    large = model(tmp_path, **QWEN3 | {"num_hidden_layers": 28 * 10_000})
    assert engine_defaults(large, {})["dtype"] == "bfloat16"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert engine_defaults(folder, {})["dtype"] == "float16"


@pytest.mark.parametrize("value", [True, "many", 0, -1, 2.5, [1], float("nan")])
def test_a_number_of_the_engine_that_is_none_is_refused(value: object) -> None:
    for name in ("max_num_seqs", "tensor_parallel_size", "block_size", "kv_cache_memory_bytes"):
        with pytest.raises(pydantic.ValidationError, match=f"engine.{name} must be a whole number above 0"):
            VLLM(engine={name: value})
    assert VLLM(engine={"max_model_len": -1, "max_num_seqs": None, "dtype": "float32"}).engine["max_model_len"] == -1


@pytest.mark.parametrize(
    ("alone", "defaults"),
    [("1", {"gpu_memory_utilization": 0.9}), (None, {"gpu_memory_utilization": 0.85, "enable_sleep_mode": True})],
)
def test_on_a_gpu_the_defaults_follow_from_who_else_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: str | None, defaults: dict[str, Any]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.delenv(ALONE, raising=False)
    if alone:
        monkeypatch.setenv(ALONE, alone)
    found = engine_defaults(model(tmp_path, **QWEN3), {})
    assert {name: found[name] for name in ("gpu_memory_utilization", "enable_sleep_mode") if name in found} == defaults
    # The model's own context, or what the memory holds of it.
    assert found["max_model_len"] == -1


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize(
    "chosen",
    [
        {"quantization": "fp8"},
        {"quantization": "awq", "dtype": "float16"},
        {"speculative_config": {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}},
        {"speculative_config": {"model": "a-small-one", "num_speculative_tokens": 3}},
        {"kv_cache_dtype": "fp8"},
        {"gpu_memory_utilization": 0.3, "enable_sleep_mode": False},
    ],
)
def test_quantised_weights_and_speculative_decoding_reach_the_engine_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool, chosen: dict[str, Any]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    engine = VLLM(engine=chosen).engine
    assert engine == chosen
    options = engine_defaults(model(tmp_path, **QWEN3), engine) | engine
    assert {name: options[name] for name in chosen} == chosen


def test_a_smaller_cache_type_holds_a_longer_context_on_the_cpu(tmp_path: Path) -> None:
    folder = model(tmp_path, **QWEN3)
    assert engine_context(folder, {"kv_cache_dtype": "fp8"}) > 2 * engine_context(folder, {})
