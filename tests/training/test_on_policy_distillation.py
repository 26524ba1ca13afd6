"""On-policy distillation with TRL on tiny models."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from alive import models_alive
from one_step import DESCENT, assert_same, common, descend
from tiny_model import make_tiny_model

from selfimprove.checkpoints.students import drop_layers
from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Checkpoint, TrainingStep
from selfimprove.training.on_policy_distillation import OnPolicyDistillation
from selfimprove.training.trl.distillation import DistillationJob

pytestmark = pytest.mark.trl

ROWS = [AcceptedTrace(f"p{n}/g1/s0", f"p{n}", ({"role": "user", "content": f"{n} + 1 ="},), str(n + 1), "teacher", 1) for n in range(8)]
QUICK = {"batch_size": 4, "steps": 30, "max_tokens": 8, "learning_rate": 3e-3, "threads": 1}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights with peaked distributions: the embeddings of the head are scaled up."""
    from safetensors.torch import load_file, save_file

    folder = make_tiny_model(tmp_path_factory.mktemp("teacher") / "model", seed=1, layers=3)
    weights = load_file(folder / "model.safetensors")
    for name in ("lm_head.weight", "model.embed_tokens.weight"):
        weights[name] = weights[name] * 8
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def fit(teacher: Path, student: Path, into: Path, rows: Sequence[AcceptedTrace] = ROWS, **settings: Any) -> list[TrainingStep]:
    start = Checkpoint("student", str(student), None, 0, "", "")
    return list(OnPolicyDistillation(**{**QUICK, "teacher": str(teacher), **settings}).open().train(start, rows, into, 0))


def test_a_smaller_student_comes_closer_to_its_teacher(teacher: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    alive, student = models_alive(), drop_layers(teacher, 2, tmp_path / "student")
    steps = fit(teacher, student, tmp_path / "out")
    assert models_alive() == alive
    assert [step.step for step in steps] == list(range(1, 31)) and {step.steps for step in steps} == {30}
    first, last = (sum(step.loss for step in part) / 5 for part in (steps[:5], steps[-5:]))
    assert 0 <= last < 0.7 * first
    assert all(1 <= step.figures["output_tokens"] <= 8 for step in steps)
    saved, before = load_file(tmp_path / "out/model.safetensors"), load_file(student / "model.safetensors")
    assert saved.keys() == before.keys() and {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
    assert torch.equal(saved["lm_head.weight"], saved["model.embed_tokens.weight"])


def test_trl_trains_with_its_own_optimizer_and_leaves_nothing_behind(teacher: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    before, student = models_alive(), drop_layers(teacher, 2, tmp_path / "student")
    steps = fit(teacher, student, tmp_path / "out", engine="trl", steps=15, tokens_per_device=60, activation_checkpointing=True)
    first, last = (sum(step.loss for step in part) / 5 for part in (steps[:5], steps[-5:]))
    assert len(steps) == 15 and 0 <= last < 0.7 * first
    assert models_alive() == before
    AutoModelForCausalLM.from_pretrained(tmp_path / "out")


def test_a_step_in_parts_has_the_gradient_of_the_whole(teacher: Path, tiny_model: Path) -> None:

    chats = [{"prompt": list(row.messages)} for row in ROWS]
    own = {"max_completion_length": 8, "beta": 1.0, **DESCENT}
    whole, part = (
        descend(DistillationJob(teacher=str(teacher), chats=chats, max_tokens=8, **common(tiny_model, 8, own, tokens))) for tokens in (10_000, 60)
    )
    assert_same(part, whole)


def test_a_student_equal_to_its_teacher_has_nothing_to_learn(teacher: Path, tmp_path: Path) -> None:
    (step,) = fit(teacher, teacher, tmp_path / "out", steps=1)
    assert step.loss == pytest.approx(0.0, abs=1e-4)


def test_what_cannot_be_trained_is_an_error_with_a_fix(teacher: Path, tiny_model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_model, tmp_path / "other")
    (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text().replace("<|im_end|>", "<|over|>"))
    with pytest.raises(UserError, match="and the student have different vocabularies: train on the teacher's traces instead"):
        fit(other, tiny_model, tmp_path / "out")
    with pytest.raises(UserError, match="no questions"):
        fit(teacher, tiny_model, tmp_path / "out", [])
    with pytest.raises(UserError, match="optim"):
        fit(teacher, tiny_model, tmp_path / "out", engine="small", options={"optim": "sgd"})
    with pytest.raises(UserError, match="nowhere does not exist"):
        fit(tmp_path / "nowhere", tiny_model, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
