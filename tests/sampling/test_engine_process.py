"""An engine in a process of its own, on the CPU: it samples what an engine in the worker does, and never outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import Started, watching

from selfimprove import VLLM, Budget, PlainQuestion, Sampling
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.records import Checkpoint, Problem, Trace
from selfimprove.sampling.sampling import requests_for

pytestmark = pytest.mark.vllm

ENGINE = {"max_model_len": 256, "kv_cache_memory_bytes": 64 << 20, "max_num_seqs": 8}
PROBLEMS = [Problem(f"p-{n}", f"{n} + {n} =", str(2 * n), "test") for n in range(12)]

OWNER = """
import sys
from pathlib import Path
from test_engine_process import opened, sampled
from selfimprove.checkpoints.folders import describe_folder
sampler = opened(own_process=True)
sampled(sampler, describe_folder(Path(sys.argv[1]), "base"), None)
print("up", flush=True)
sys.stdin.read()
"""


def opened(own_process: bool) -> Any:
    sampler = VLLM(engine=ENGINE, own_process=own_process)
    os.environ.update(sampler.environment())
    return sampler.open()


def sampled(sampler: Any, checkpoint: Checkpoint, budget: Budget | None, max_tokens: int = 30) -> dict[str, Trace]:
    requests = requests_for(PROBLEMS, PlainQuestion(), Sampling(n=2, temperature=1.0, max_tokens=max_tokens), "g1", seed=7)
    asked = [replace(request, budget=budget if number % 2 else None) for number, request in enumerate(requests)]
    return {trace.id: trace for batch in sampler.sample(checkpoint, asked) for trace in batch}


def engines(started: Started) -> list[int]:
    """The engine among the processes; multiprocessing has one more, which tracks resources."""
    found = []
    for pid in started.alive():
        # It may end meanwhile.
        with suppress(OSError):
            found += [pid] if b"EngineCore" in Path(f"/proc/{pid}/cmdline").read_bytes() else []
    return found


@pytest.mark.long
def test_an_engine_process_samples_the_same_and_is_replaced_when_it_dies(tiny_model: Path, tmp_path: Path) -> None:
    from tiny_model import make_tiny_model

    base, other = describe_folder(tiny_model, "base"), describe_folder(make_tiny_model(tmp_path / "other", seed=1), "other")
    budget = Budget(max_tokens=0, answer_tokens=9)
    inside = opened(own_process=False)
    wanted = [sampled(inside, checkpoint, budget) for checkpoint in (base, other)]
    inside.close()
    with watching() as started:
        sampler = opened(own_process=True)
        found = [sampled(sampler, checkpoint, budget) for checkpoint in (base, other)]
        assert found == wanted and any(trace.forced for trace in found[0].values()) and found[0] != found[1]
        (first,) = engines(started)
        threading.Timer(0.3, os.kill, (first, signal.SIGKILL)).start()
        longer = sampled(sampler, other, None, max_tokens=200)
        (second,) = engines(started)
        assert len(longer) == 24 and second != first and sampled(sampler, other, budget) == wanted[1]
        sampler.close()
        assert not engines(started)


@pytest.mark.long
def test_an_engine_ends_with_its_killed_owner(tiny_model: Path) -> None:
    folders = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with watching() as started:
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(tiny_model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": folders}
        )
        with owner:
            assert owner.stdout and owner.stdout.readline() == b"up\n" and engines(started)
            owner.kill()
        assert not started.left_after(30)
