import errno
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Checkpoint, TrainingStep, WeightedRow
from selfimprove.training.sft import SFT

pytestmark = pytest.mark.trl

ROWS = [
    AcceptedTrace(f"p{left}{right}/g1/s0", f"p{left}{right}", ({"role": "user", "content": f"{left} + {right} ="},), str(left + right), "sampled", 1)
    for left in range(1, 5)
    for right in range(1, 4)
]
QUICK = {"batch_size": 4, "learning_rate": 3e-3, "epochs": 2, "max_length": 64, "threads": 1}


def base(folder: Path) -> Checkpoint:
    return Checkpoint("base", str(folder), None, 0, "", "")


def fit(folder: Path, into: Path, rows: Sequence[AcceptedTrace] = ROWS, seed: int = 0, **settings: Any) -> list[TrainingStep]:
    return list(SFT(**{**QUICK, **settings}).open().train(base(folder), rows, into, seed))


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_training_lowers_the_loss_and_counts_every_token(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from selfimprove.training.rows import tokenize_row

    steps = fit(tiny_model, tmp_path / "out", epochs=8)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokens = sum(len(ids) for row in ROWS for ids in tokenize_row(tokenizer, row))
    assert [step.step for step in steps] == list(range(1, 25))
    assert {step.steps for step in steps} == {24}
    assert steps[-1].tokens == 8 * tokens
    assert steps[0].loss > 5
    assert steps[-1].loss < 3


def test_few_rows_are_repeated_until_the_minimum_number_of_steps(tiny_model: Path, tmp_path: Path) -> None:
    assert fit(tiny_model, tmp_path / "few", ROWS[:4], min_steps=5)[-1].step == 5
    assert fit(tiny_model, tmp_path / "enough", min_steps=5)[-1].step == 6


def test_the_checkpoint_is_complete_and_loads_without_a_warning(tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    fit(tiny_model, tmp_path / "out")
    disable_progress_bar()
    capfd.readouterr()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert capfd.readouterr() == ("", "")

    saved, before = weights(tmp_path / "out"), weights(tiny_model)
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
    assert saved.keys() == before.keys()
    assert torch.equal(saved["lm_head.weight"], saved["model.embed_tokens.weight"])
    assert not torch.equal(saved["lm_head.weight"], before["lm_head.weight"])
    assert model.lm_head.weight is model.model.embed_tokens.weight
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, saved[name]), name
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(tiny_model).chat_template
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_same_rows_and_seed_give_the_same_weights_and_another_seed_does_not(tiny_model: Path, tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        fit(tiny_model, tmp_path / name, seed=seed)
    first, again, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "again", "other"))
    assert first == again
    assert first != other


def test_losses_equal_those_of_trls_own_trainer_on_the_same_tokens(tiny_model: Path, tmp_path: Path) -> None:
    """In float32, packed rows and masters give the losses of padded rows and torch's optimizer. Tokens forced by a budget have no loss."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from selfimprove.training.rows import tokenize_row
    from selfimprove.training.small import lean_loop

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    thinking = [replace(row, completion=f"Wait, so {row.completion} is it: {row.completion}") for row in ROWS]
    pairs = [tokenize_row(tokenizer, row) for row in thinking]
    rows = [replace(row, completion_token_ids=tuple(answer), forced=((1, 3), (4, 5))) for row, (_, answer) in zip(thinking, pairs, strict=True)]
    unforced = [[-100 if place in (1, 2, 4) else token for place, token in enumerate(answer)] for _, answer in pairs]
    data = Dataset.from_list(
        [{"input_ids": prompt + answer, "labels": [-100] * len(prompt) + scored} for (prompt, answer), scored in zip(pairs, unforced, strict=True)]
    )
    args = SFTConfig(
        output_dir=str(tmp_path / "trl"),
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=4,
        num_train_epochs=2,
        learning_rate=1e-3,
        warmup_steps=0.05,
        seed=3,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    stock = SFTTrainer(str(tiny_model), args=args, train_dataset=data, processing_class=tokenizer)
    stock.train()
    theirs = [entry["loss"] for entry in stock.state.log_history if "loss" in entry]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lean_loop, "computing_type", lambda: torch.float32)
        ours = [step.loss for step in fit(tiny_model, tmp_path / "out", rows, seed=3, learning_rate=1e-3)]
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_steps_come_while_it_trains_and_closing_early_stops_it(tiny_model: Path, tmp_path: Path) -> None:
    running = SFT(**{**QUICK, "epochs": 10_000}).open().train(base(tiny_model), ROWS, tmp_path / "out", 0)
    assert next(running).step == 1
    assert next(running).step == 2
    running.close()
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_is_merged_into_the_weights(tiny_model: Path, tmp_path: Path) -> None:
    import torch

    steps = fit(tiny_model, tmp_path / "out", epochs=6, learning_rate=2e-2, lora={"r": 8, "target_modules": ["q_proj", "down_proj"]})
    saved, before = weights(tmp_path / "out"), weights(tiny_model)
    changed = {name.split(".")[-2] for name in before if not torch.equal(saved[name], before[name])}
    assert saved.keys() == before.keys()
    assert changed == {"q_proj", "down_proj"}
    assert steps[-1].loss < steps[0].loss


def test_an_adapter_without_peft_is_refused_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfimprove.training.sft.importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs the package peft"):
        SFT(lora={"r": 8}).open()


def test_another_architecture_trains_on_trls_own_path(tmp_path: Path) -> None:
    from tiny_model import make_tiny_model
    from transformers import AutoTokenizer, Gemma2Config, Gemma2ForCausalLM

    llama = make_tiny_model(tmp_path / "llama")
    config = Gemma2Config(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        pad_token_id=0,
    )
    Gemma2ForCausalLM(config).save_pretrained(tmp_path / "gemma")
    AutoTokenizer.from_pretrained(llama).save_pretrained(tmp_path / "gemma")
    steps = fit(tmp_path / "gemma", tmp_path / "out", epochs=8)
    assert steps[-1].loss < steps[0].loss - 1
    assert steps[-1].tokens == 8 * steps[2].tokens


def test_no_rows_are_an_error_with_a_fix(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows to train on"):
        fit(tiny_model, tmp_path / "out", rows=[])


LONG = AcceptedTrace("long/g1/s0", "long", ROWS[0].messages, "1" * 200, "sampled", 1)


def test_rows_that_are_too_long_are_left_out(tiny_model: Path, tmp_path: Path) -> None:
    opened = SFT(**QUICK).open()
    assert opened.fitting(base(tiny_model), [LONG, *ROWS, LONG]) == list(range(1, 13))
    assert opened.fitting(base(tiny_model), []) == []
    assert fit(tiny_model, tmp_path / "some", rows=[LONG, *ROWS, LONG]) == fit(tiny_model, tmp_path / "all")


def test_rows_that_are_all_too_long_are_an_error_and_nothing_is_written(tiny_model: Path, tmp_path: Path) -> None:
    complaint = r"all 2 rows are longer than max_length=64; the shortest has \d+ tokens: raise max_length of SFT"
    with pytest.raises(UserError, match=complaint):
        SFT(**QUICK).open().fitting(base(tiny_model), [LONG, LONG])
    with pytest.raises(UserError, match=complaint):
        fit(tiny_model, tmp_path / "out", rows=[LONG, LONG])
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_training_reaches_the_caller(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(ValueError, match="no-such-schedule"):
        fit(tiny_model, tmp_path / "out", schedule="no-such-schedule")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_checkpoint_and_keeps_the_previous_one(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    from selfimprove.checkpoints.saving import save_checkpoint

    def copy(source: Path, target: Path) -> None:
        assert (Path(target).parent / "model.safetensors").exists()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("selfimprove.checkpoints.saving.shutil.copyfile", copy)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "earlier").touch()
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(AutoModelForCausalLM.from_pretrained(tiny_model), tiny_model, tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["out", "out/earlier"]


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"batch_size": -1}, {"warmup": 1.5}, {"rate": 1e-4}], ids=str)
def test_bad_settings_are_refused_when_the_part_is_made(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        SFT(**settings)


def test_choosing_another_optimizer_is_refused() -> None:
    with pytest.raises(UserError, match="optim"):
        SFT(engine="small", options={"optim": "sgd"}).open()


@pytest.mark.parametrize("engine", ["small", "trl"])
def test_the_loss_of_weighted_rows_counts_by_their_weight(tiny_model: Path, tmp_path: Path, engine: str) -> None:
    from transformers import AutoTokenizer

    from selfimprove.training.rows import tokenize_row

    def first_loss(name: str, rows: Sequence[AcceptedTrace], **settings: Any) -> float:
        return fit(tiny_model, tmp_path / name, rows, batch_size=12, epochs=1, engine=engine, **settings)[0].loss

    def weighted(rows: Sequence[AcceptedTrace], weight: float) -> list[AcceptedTrace]:
        return [WeightedRow(row.trace_id, row.problem_id, row.messages, row.completion, "general", 1, loss_weight=weight) for row in rows]

    long = [replace(row, completion=f"It is {row.completion}.") for row in ROWS[:5]]
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    few, all_ = (sum(len(tokenize_row(tokenizer, row)[1]) for row in rows) for rows in (ROWS[5:], [*long, *ROWS[5:]]))
    alone, plain = first_loss("alone", ROWS[5:]), first_loss("plain", [*long, *ROWS[5:]])
    assert first_loss("none", [*weighted(long, 1e-6), *ROWS[5:]]) == pytest.approx(alone * few / all_, rel=1e-3)
    # Divided into micro-batches, it is the same.
    parts = {"tokens_per_device": 64} if engine == "trl" else {}
    assert first_loss("half", [*weighted(long, 0.5), *ROWS[5:]], **parts) == pytest.approx((plain + alone * few / all_) / 2, rel=1e-3)
