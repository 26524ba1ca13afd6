"""One training in two real workers of Ray Train on the CPU: as one process does it, sharded by FSDP2, and after a worker was killed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs import KilledJob, ShardedJob

from selfimprove import VLLM, PlainQuestion, RayCluster, Sampling
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Checkpoint, Problem, TrainingStep
from selfimprove.sampling.sampling import requests_for
from selfimprove.training.sft import SFT
from selfimprove.training.trl.launch import launch
from selfimprove.training.trl.ray_train import train_on_workers
from selfimprove.training.trl.sft import SFTJob
from selfimprove.training.trl.workers import Workers

pytestmark = [pytest.mark.ray, pytest.mark.trl, pytest.mark.slow]
# Beside other work, workers of Ray Train have taken a quarter of an hour to start.
PATIENT = pytest.mark.timeout(3600)

# Eleven rows in steps of four: the last step of an epoch has three, and a step of one row leaves the second worker without any.
ROWS = [
    AcceptedTrace(f"p{number}/g1/s0", f"p{number}", ({"role": "user", "content": f"{number} + 1 ="},), str(number + 1), "sampled", 1)
    for number in range(11)
]
TRAINER = SFT(engine="trl", gpus=2, batch_size=4, learning_rate=3e-3, epochs=3, max_length=64, threads=1)
GREEDY = Sampling(n=1, temperature=0.0, max_tokens=2)
ADAPTER = {"r": 4, "target_modules": ["q_proj", "down_proj"]}


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> Iterator[None]:
    """Ray, whose processes can import what the tests import."""
    import ray

    paths = os.pathsep.join([str(Path(__file__).parents[2] / "makers"), str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    # Each actor that Ray Train starts besides the workers costs seconds.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        patch.setenv("RAY_TRAIN_METRICS_ENABLED", "0")
        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": paths}})
        yield
        ray.shutdown()


def checkpoint(folder: Path) -> Checkpoint:
    return Checkpoint("base", str(folder), None, 0, "", "")


def job(kind: type[SFTJob], folder: Path, **more: Any) -> SFTJob:
    """The training of `TRAINER`."""
    from selfimprove.training.open_trainer import load_tokenizer

    opened = TRAINER.open()
    examples = [example for _, example in opened._examples(load_tokenizer(checkpoint(folder)), ROWS)]
    settings = {"lora": None, "tokens": 40, "activation_checkpointing": None, "seed": 0, **more}
    return kind(start=str(folder), examples=examples, batch_size=4, own=opened._arguments(len(examples)), **settings)


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def distance(left: dict[str, Any], right: dict[str, Any]) -> float:
    return sum(float((left[name].float() - right[name].float()).square().sum()) for name in left) ** 0.5


def require_same_training(ours: list[TrainingStep], theirs: list[TrainingStep], folder: Path, other: Path, start: Path) -> None:
    """The same steps, losses within 1 %, and weights that lie close together."""
    assert [(step.step, step.steps, step.tokens, step.learning_rate) for step in ours] == [
        (step.step, step.steps, step.tokens, step.learning_rate) for step in theirs
    ]
    assert [step.loss for step in ours] == pytest.approx([step.loss for step in theirs], rel=0.01)
    assert weights(folder).keys() == weights(start).keys()
    assert distance(weights(folder), weights(other)) < 0.1 * distance(weights(other), weights(start))


def test_two_workers_train_the_same_model_as_one(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    alone = list(launch(job(SFTJob, tiny_model), tmp_path / "one", threads=1))
    together = list(TRAINER.open().train(checkpoint(tiny_model), ROWS, tmp_path / "two", 0))
    require_same_training(together, alone, tmp_path / "two", tmp_path / "one", tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "two", dtype="auto")
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.generation_config.eos_token_id == AutoTokenizer.from_pretrained(tmp_path / "two").eos_token_id
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def told_by_vllm(folder: Path) -> dict[tuple[int, ...], int]:
    """The first token that a vLLM engine with this checkpoint writes, by the tokens of the prompt."""
    requests = requests_for([Problem(row.problem_id, row.messages[0]["content"], "", "test") for row in ROWS], PlainQuestion(), GREEDY, "g1", seed=0)
    engine = {"max_model_len": 256, "kv_cache_memory_bytes": 64 << 20, "max_num_seqs": 8}
    with RayCluster(deadline=300.0) as cluster:
        found = cluster.open("sampler", VLLM(engine=engine)).stream("sample", [(describe_folder(folder, "model"), requests)])
        return {trace.prompt_token_ids: trace.output_token_ids[0] for batches in found for batch in batches for trace in batch}


def told_by_transformers(folder: Path, prompts: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="bfloat16")
    return {prompt: int(model(torch.tensor([prompt])).logits[0, -1].argmax()) for prompt in prompts}


@pytest.mark.long
@PATIENT
@pytest.mark.vllm
def test_a_training_goes_on_after_a_worker_was_killed_and_ends_with_the_same_weights(tiny_model: Path, tmp_path: Path) -> None:
    undisturbed = list(launch(job(ShardedJob, tiny_model), tmp_path / "undisturbed", Workers(2), 1))
    killed = list(launch(job(KilledJob, tiny_model, marker=str(tmp_path / "marker")), tmp_path / "killed", Workers(2), 1))
    assert (tmp_path / "marker").exists()
    assert killed == undisturbed
    assert (tmp_path / "killed" / "model.safetensors").read_bytes() == (tmp_path / "undisturbed" / "model.safetensors").read_bytes()
    alone = list(launch(job(SFTJob, tiny_model), tmp_path / "one", threads=1))
    require_same_training(undisturbed, alone, tmp_path / "undisturbed", tmp_path / "one", tiny_model)
    told = told_by_vllm(tmp_path / "undisturbed")
    assert len(told) == len(ROWS) and told == told_by_transformers(tmp_path / "undisturbed", told) != told_by_transformers(tiny_model, told)


@pytest.mark.long
@PATIENT
def test_a_sharded_adapter_is_merged_into_the_weights(tiny_model: Path, tmp_path: Path) -> None:
    alone = list(launch(job(SFTJob, tiny_model, lora=ADAPTER), tmp_path / "one", threads=1))
    sharded = list(launch(job(ShardedJob, tiny_model, lora=ADAPTER, activation_checkpointing=True), tmp_path / "two", Workers(2), 1))
    require_same_training(sharded, alone, tmp_path / "two", tmp_path / "one", tiny_model)
    changed = {name.split(".")[-2] for name, tensor in weights(tiny_model).items() if not torch.equal(tensor, weights(tmp_path / "two")[name])}
    assert changed == {"q_proj", "down_proj"}


@pytest.mark.long
@PATIENT
def test_closing_early_ends_the_workers_and_nothing_is_saved(tiny_model: Path, tmp_path: Path) -> None:
    steps = launch(job(SFTJob, tiny_model), tmp_path / "out", Workers(2), 1)
    assert next(steps).step == 1
    steps.close()
    assert list(tmp_path.iterdir()) == []


def test_gpus_that_no_node_has_are_refused_at_once(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 64.0, "GPU": 8.0})
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"GPU": 4.0}}, {"Alive": True, "Resources": {"GPU": 4.0}}])
    with pytest.raises(UserError, match="training in 8 workers takes 1 nodes with 8 GPUs each, but the cluster has 0"):
        next(train_on_workers(job(SFTJob, tiny_model), tmp_path / "out", Workers(8), 1))
