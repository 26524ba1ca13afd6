"""`SFT(engine="trl")` in one process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Checkpoint, TrainingStep
from selfimprove.training.sft import SFT

pytestmark = pytest.mark.trl

ROWS = [
    AcceptedTrace(
        f"p{number}/g1/s0", f"p{number}", ({"role": "user", "content": f"{number} + 1 ="},), "so " * (number % 5) + str(number + 1), "sampled", 1
    )
    for number in range(11)
]
QUICK = SFT(batch_size=4, learning_rate=3e-3, epochs=2, max_length=64, threads=1, engine="trl")
ADAPTER = {"r": 4, "target_modules": ["q_proj", "down_proj"]}


def fit(folder: Path, into: Path, trainer: SFT, rows: list[AcceptedTrace] = ROWS) -> list[TrainingStep]:
    return list(trainer.open().train(Checkpoint("base", str(folder), None, 0, "", ""), rows, into, 0))


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def whole(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[TrainingStep], Path]:
    """A training whose steps are computed in one part each."""
    into = tmp_path_factory.mktemp("whole") / "out"
    return fit(tiny_model, into, QUICK), into


@pytest.mark.parametrize("checkpointing", [False, True])
def test_steps_in_several_parts_have_the_loss_of_whole_steps(
    checkpointing: bool, whole: tuple[list[TrainingStep], Path], tiny_model: Path, tmp_path: Path
) -> None:
    parts = fit(tiny_model, tmp_path / "out", replace(QUICK, tokens_per_device=30, activation_checkpointing=checkpointing))
    assert [(step.step, step.steps, step.tokens) for step in parts] == [(step.step, step.steps, step.tokens) for step in whole[0]]
    assert [step.loss for step in parts] == pytest.approx([step.loss for step in whole[0]], rel=2e-3)


def test_the_checkpoint_has_the_form_of_all_checkpoints(whole: tuple[list[TrainingStep], Path], tiny_model: Path) -> None:
    saved, before = weights(whole[1]), weights(tiny_model)
    assert saved.keys() == before.keys()
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
    assert torch.equal(saved["lm_head.weight"], saved["model.embed_tokens.weight"])
    assert not torch.equal(saved["lm_head.weight"], before["lm_head.weight"])


def test_the_same_rows_and_seed_give_the_same_weights_also_of_an_adapter(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("first", "again"):
        torch.rand(len(name))  # Whatever was drawn before.
        fit(tiny_model, tmp_path / name, replace(QUICK, lora=ADAPTER))
    assert (tmp_path / "first" / "model.safetensors").read_bytes() == (tmp_path / "again" / "model.safetensors").read_bytes()
    changed = {name.split(".")[-2] for name, tensor in weights(tiny_model).items() if not torch.equal(tensor, weights(tmp_path / "first")[name])}
    assert changed == {"q_proj", "down_proj"}


def test_forced_tokens_have_no_loss_in_any_part(tiny_model: Path, tmp_path: Path) -> None:
    """The loss of a step in several parts is the mean over all tokens of its completions that no budget has forced."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from selfimprove.training.rows import tokenize_row

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32")
    rows, losses = [], []
    for row in ROWS[1:5]:
        prompt, completion = tokenize_row(tokenizer, row)
        rows.append(replace(row, completion_token_ids=tuple(completion), forced=((1, 3),)))
        scored = model(input_ids=torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        losses += [-scored[place, token].item() for place, token in enumerate(completion) if place not in (1, 2)]
    (step,) = fit(tiny_model, tmp_path / "out", replace(QUICK, epochs=1, tokens_per_device=30), rows)
    assert step.loss == pytest.approx(sum(losses) / len(losses), rel=2e-3)


def test_another_optimizer_is_passed_on(tiny_model: Path, tmp_path: Path) -> None:
    steps = fit(tiny_model, tmp_path / "out", replace(QUICK, engine="auto", options={"optim": "sgd"}))
    assert steps[-1].loss == pytest.approx(steps[0].loss, rel=0.1), "SGD at this learning rate moves little, unlike AdamW"


@pytest.mark.parametrize("option", ["per_device_train_batch_size", "gradient_accumulation_steps"])
def test_options_that_would_change_the_rows_of_a_step_are_refused(option: str, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"remove `{option}` from its options and set batch_size"):
        fit(tiny_model, tmp_path / "out", replace(QUICK, options={option: 2}))


def make(kind: str, folder: Path, llama: Path) -> Path:
    """A tiny model of this type in `folder`, with large weights, so that attention matters."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    sizes = {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 32}
    config = AutoConfig.for_model(kind, num_key_value_heads=1, pad_token_id=0, bos_token_id=1, eos_token_id=2, **sizes)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        parameter.data *= 4
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(llama).save_pretrained(folder)
    return folder


def flat_kinds() -> list[str]:
    from selfimprove.training.trl.models import FLAT

    return sorted(FLAT)


@pytest.mark.parametrize("kind", flat_kinds())
def test_rows_laid_end_to_end_have_the_losses_of_padded_rows(kind: str, tmp_path: Path, tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    folder = make(kind, tmp_path / kind, tiny_model)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    rows = [[5, 6, 7, 8, 9, 10, 11, 12], [21, 22, 23], [31, 32, 33, 34, 35]]
    examples = [{"input_ids": row, "labels": [-100, *row[1:]]} for row in rows]
    losses = []
    for flat in (True, False):
        batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=flat)(examples)
        labels = batch.pop("labels")
        logits = model(**batch, use_cache=False).logits
        losses.append(F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum").item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_attention_for_rows_of_different_lengths_gets_what_the_kernel_takes(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel runs on GPUs alone: here each row goes through torch's attention by itself in its place."""
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from selfimprove.training.trl import varlen

    def kernel(query: Any, key: Any, value: Any, ends: Any, key_ends: Any, longest: int, key_longest: int, **options: Any) -> Any:
        assert options["window_size"] == (-1, 0) and options["enable_gqa"] and longest == key_longest == 8
        assert torch.equal(ends, key_ends) and ends.dtype == torch.int32
        each = [
            F.scaled_dot_product_attention(
                *(states[begin:end].transpose(0, 1) for states in (query, key, value)), is_causal=True, scale=options["scale"], enable_gqa=True
            )
            for begin, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        ]
        return torch.cat(each, dim=1).transpose(0, 1)

    monkeypatch.setattr(varlen.varlen, "varlen_attn", kernel)
    rows = [[5, 6, 7, 8, 9, 10, 11, 12], [21, 22, 23]]
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)([{"input_ids": row} for row in rows])
    batch.pop("labels")
    flat = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32", attn_implementation=varlen.NAME)
    plain = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32")
    apart = torch.cat([plain(input_ids=torch.tensor([row])).logits for row in rows], dim=1)
    torch.testing.assert_close(flat(**batch, use_cache=False).logits, apart)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"gpus": 6, "nodes": 4}, "cannot be spread evenly"), ({"engine": "small", "gpus": 2}, "trains in one process"), ({"engine": "fast"}, "engine")],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused_when_the_part_is_made(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        SFT(**settings)


def test_several_gpus_are_reserved_by_the_workers() -> None:
    assert SFT(gpus=8).starts_workers and SFT(gpus=8).devices == 8
    assert not SFT().starts_workers and SFT().devices == 1
