"""Tensor parallelism over two processes, as over two GPUs, in an actor of a real local cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfimprove import VLLM, PlainQuestion, RayCluster, Sampling
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.protocols import Worker
from selfimprove.records import Checkpoint, Problem, Request
from selfimprove.sampling.sampling import requests_for

pytestmark = [pytest.mark.ray, pytest.mark.vllm]

PROBLEMS = [Problem(f"p-{n}", f"{n} + {n} =", str(2 * n), "test") for n in range(8)]
ENGINE = {"max_model_len": 256, "kv_cache_memory_bytes": 64 << 20, "max_num_seqs": 8}


def first_tokens(worker: Worker, checkpoint: Checkpoint, requests: list[Request]) -> dict[str, int]:
    batches = [batch for batches in worker.stream("sample", [(checkpoint, requests)]) for batch in batches]
    assert all(trace.checkpoint_id == checkpoint.id for batch in batches for trace in batch)
    return {trace.id: trace.output_token_ids[0] for batch in batches for trace in batch}


def share_that_agrees(found: dict[str, int], wanted: dict[str, int]) -> float:
    assert sorted(found) == sorted(wanted)
    return sum(found[name] == token for name, token in wanted.items()) / len(wanted)


@pytest.mark.long
def test_an_engine_in_two_processes_samples_the_same_and_reloads_weights(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiny_model import make_tiny_model

    # On a CPU vLLM wants to be told which core each of its processes has.
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0|1")
    base, other = describe_folder(tiny_model, "base"), describe_folder(make_tiny_model(tmp_path / "other", seed=1), "other")
    requests = list(requests_for(PROBLEMS, PlainQuestion(), Sampling(n=4, temperature=1.0, max_tokens=3), "g1", seed=7))
    with RayCluster(deadline=300.0) as cluster:
        worker = cluster.open("sampler", spread := VLLM(engine={**ENGINE, "tensor_parallel_size": 2}))
        before, switched, again = (first_tokens(worker, checkpoint, requests) for checkpoint in (base, other, base))
        cluster.end(spread)
        worker = cluster.open("sampler", VLLM(engine=ENGINE))
        alone, other_alone = (first_tokens(worker, checkpoint, requests) for checkpoint in (base, other))
    assert before == again
    # Sums in another order round otherwise, which now and then moves a draw; other weights move more.
    assert share_that_agrees(before, alone) >= 0.9
    assert share_that_agrees(switched, other_alone) >= 0.9 > share_that_agrees(switched, alone)
