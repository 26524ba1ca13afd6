"""How an engine hands its GPU over. Sleep mode does nothing on a CPU, so an engine that remembers its calls takes vLLM's place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from selfimprove import UserError
from selfimprove.protocols.worker_part import ROLE
from selfimprove.records import Checkpoint
from selfimprove.sampling import engine as engine_module
from selfimprove.sampling import engine_sleep
from selfimprove.sampling.open_vllm import OpenVLLM


class FakeEngine:
    """`vllm.LLM` on a GPU, as far as the hand-over goes."""

    def __init__(self, sleeps: bool = True, speculative: bool = False, full: bool = False) -> None:
        model = SimpleNamespace(enable_sleep_mode=sleeps)
        config = SimpleNamespace(model_config=model, speculative_config=object() if speculative else None)
        self.llm_engine = SimpleNamespace(vllm_config=config, engine_core=SimpleNamespace(shutdown=lambda: self.did.append("shutdown")))
        self.did: list[str] = []
        self.full = full

    def sleep(self, level: int) -> None:
        self.did.append(f"sleep {level}")

    def wake_up(self, tags: list[str]) -> None:
        self.did.append(f"wake {tags[0]}")
        if self.full:
            raise RuntimeError("Call to wake_up failed:\nCUDA Error: out of memory at cumem_allocator.cpp:62")

    def collective_rpc(self, method: str, kwargs: dict[str, Any]) -> None:
        self.did.append(f"{method} {Path(kwargs['weights_path']).name}")

    def reset_prefix_cache(self) -> None:
        self.did.append("reset")


Serve = Callable[[str], None]


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[FakeEngine], tuple[OpenVLLM, Serve]]]:
    """A sampler on a fake engine, which serves checkpoint `a`, and a function that asks it to serve another."""
    samplers = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")

    def start(engine: FakeEngine) -> tuple[OpenVLLM, Serve]:
        sampler = OpenVLLM({})
        samplers.append(sampler)
        monkeypatch.setattr(engine_module, "engine_defaults", lambda *_: {})
        monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=lambda **_: engine))

        def serve(name: str) -> None:
            sampler._run(lambda: sampler._serve(Checkpoint(name, str(tmp_path / name), None, 0, name, ""), False))

        serve("a")
        return sampler, serve

    yield start
    for sampler in samplers:
        sampler.close()


def test_weights_that_others_replace_are_forgotten_and_read_again_before_the_cache(serving: Any) -> None:
    sampler, serve = serving(engine := FakeEngine())
    sampler.rest()
    sampler.rest()
    serve("b")
    serve("b")
    assert engine.did == ["sleep 2", "wake weights", "reload_weights b", "wake kv_cache", "reset"]
    engine.did.clear()
    sampler.rest()
    # The training was complete already: the same weights go on after all.
    serve("b")
    assert engine.did == ["sleep 2", "wake weights", "reload_weights b", "wake kv_cache", "reset"]


def test_weights_that_are_needed_again_are_kept(serving: Any) -> None:
    sampler, serve = serving(engine := FakeEngine())
    sampler.rest(True)
    serve("a")
    assert engine.did == ["sleep 1", "wake weights", "wake kv_cache", "reset"]
    engine.did.clear()
    sampler.rest(True)
    # A forecast that does not hold costs nothing but time.
    serve("b")
    assert engine.did == ["sleep 1", "wake weights", "reload_weights b", "wake kv_cache", "reset"]


def test_a_draft_s_weights_are_kept_since_no_checkpoint_has_them(serving: Any) -> None:
    sampler, serve = serving(engine := FakeEngine(speculative=True))
    sampler.rest()
    serve("b")
    assert engine.did == ["sleep 1", "wake weights", "reload_weights b", "wake kv_cache", "reset"]


def test_an_engine_with_a_gpu_of_its_own_stays_awake(serving: Any) -> None:
    sampler, serve = serving(engine := FakeEngine(sleeps=False))
    sampler.rest()
    serve("b")
    assert engine.did == ["reload_weights b", "reset"]


def test_an_engine_for_another_architecture_replaces_one_that_sleeps(serving: Any, tmp_path: Path) -> None:
    sampler, serve = serving(engine := FakeEngine())
    sampler.rest()
    (tmp_path / "b" / "config.json").write_text('{"num_hidden_layers": 3}')
    serve("b")
    assert engine.did == ["sleep 2", "shutdown"]


def test_who_holds_the_memory_is_named_where_waking_fails(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, ROLE: "trainer"}) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        listed = f"GPU:0\nprocess {os.getpid():>10d} uses     1024.000 MB GPU memory\nprocess {holder.pid:>10d} uses   121856.000 MB GPU memory"
        monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
        monkeypatch.setattr("torch.cuda.list_gpu_processes", lambda device: listed)
        sampler, serve = serving(FakeEngine(full=True))
        sampler.rest()
        with pytest.raises(UserError) as failed:
            serve("b")
        holder.communicate(b"\n")
    message = str(failed.value)
    assert message.startswith("vLLM cannot wake: CUDA Error: out of memory at cumem_allocator.cpp:62; its GPU is held by ")
    assert f"held by process {holder.pid} (trainer) with 119.0 GiB, process {os.getpid()} (" in message and "\n" not in message


def test_a_failure_that_nobody_can_explain_stays_as_it_is(serving: Any) -> None:
    assert engine_sleep.holders() == ""
    sampler, serve = serving(FakeEngine(full=True))
    sampler.rest()
    with pytest.raises(RuntimeError, match="out of memory"):
        serve("b")
