"""DPO with TRL on a tiny model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alive import models_alive
from one_step import DESCENT, assert_same, common, descend

from selfimprove.errors import UserError
from selfimprove.records import Checkpoint, Pair, TrainingStep
from selfimprove.training.dpo import DPO, OpenDPO
from selfimprove.training.trl.dpo import FIGURES, DPOJob

pytestmark = pytest.mark.trl

PAIRS = [
    Pair(
        f"p{number}",
        1,
        ({"role": "user", "content": f"{number} + 1 ="},),
        f"p{number}/g1/s0",
        str(number + 1),
        None,
        (),
        f"p{number}/g1/s1",
        "no idea",
        None,
        (),
    )
    for number in range(1, 9)
]
OWN: dict[str, Any] = {"max_length": None, "remove_unused_columns": False}
QUICK = {"batch_size": 4, "learning_rate": 1e-3, "epochs": 4, "max_length": 64, "threads": 1}


def fit(folder: Path, into: Path, pairs: Sequence[Pair] = PAIRS, **settings: Any) -> list[TrainingStep]:
    start = Checkpoint("base", str(folder), None, 0, "", "")
    return list(DPO(**{**QUICK, **settings}).open().train(start, pairs, into, 0))


def test_right_traces_become_likelier_than_wrong_ones_from_a_margin_of_zero(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    alive = models_alive()
    steps = fit(tiny_model, tmp_path / "out")
    assert models_alive() == alive
    assert [step.step for step in steps] == list(range(1, 9)) and {step.steps for step in steps} == {8}
    # DPO's loss is log 2 while the model is still the reference.
    assert steps[0].loss == pytest.approx(0.6931, abs=1e-3) and steps[0].figures["margin"] == pytest.approx(0.0, abs=1e-3)
    assert steps[-1].loss < 0.6 and steps[-1].figures["margin"] > 0.2 and steps[-1].figures["accuracy"] == 1
    assert steps[-1].figures["margin"] == pytest.approx(steps[-1].figures["chosen_reward"] - steps[-1].figures["rejected_reward"], abs=1e-3)

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    examples = [OpenDPO(DPO())._example(tokenizer, pair) for pair in PAIRS]
    tokens = sum(2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in examples)
    assert steps[-1].tokens == 4 * tokens
    saved, before = load_file(tmp_path / "out/model.safetensors"), load_file(tiny_model / "model.safetensors")
    assert saved.keys() == before.keys() and {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
    assert not torch.equal(saved["lm_head.weight"], before["lm_head.weight"])
    assert (tmp_path / "out/tokenizer.json").read_bytes() == (tiny_model / "tokenizer.json").read_bytes()


def test_trl_trains_with_its_own_optimizer_and_leaves_nothing_behind(tiny_model: Path, tmp_path: Path) -> None:
    """Seven pairs in steps of four: an epoch ends within a step, and the memory of a pass is bounded."""
    from transformers import AutoModelForCausalLM

    before = models_alive()
    steps = fit(tiny_model, tmp_path / "out", PAIRS[:7], engine="trl", tokens_per_device=64, activation_checkpointing=True)
    assert [step.step for step in steps] == list(range(1, 8)) and {step.steps for step in steps} == {7}
    assert steps[0].loss == pytest.approx(0.6931, abs=1e-3) and steps[0].figures["margin"] == pytest.approx(0.0, abs=1e-3)
    assert steps[-1].loss < 0.6 and steps[-1].figures["accuracy"] == 1
    assert models_alive() == before
    assert (
        AutoModelForCausalLM.from_pretrained(tmp_path / "out").num_parameters() == AutoModelForCausalLM.from_pretrained(tiny_model).num_parameters()
    )


def test_a_step_in_parts_has_the_gradient_and_the_figures_of_the_whole(tiny_model: Path) -> None:
    """Pairs of different lengths, some of whose tokens were forced."""
    from transformers import AutoTokenizer

    ids = tuple(range(10, 22))
    pairs = [
        replace(pair, chosen_token_ids=ids[: number + 4], rejected_token_ids=ids[::-1][: 9 - number], chosen_forced=((1, 3),))
        for number, pair in enumerate(PAIRS[:6])
    ]
    example = OpenDPO(DPO())._example
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    whole, part = (
        descend(DPOJob(pairs=[example(tokenizer, pair) for pair in pairs], epochs=1, **common(tiny_model, 6, OWN | DESCENT, tokens)))
        for tokens in (10_000, 150)
    )
    assert_same(part, whole, *FIGURES.values())
    free = [replace(pair, chosen_forced=()) for pair in pairs]
    other, _ = descend(DPOJob(pairs=[example(tokenizer, pair) for pair in free], epochs=1, **common(tiny_model, 6, OWN | DESCENT, 1)))
    assert (other - whole[0]).norm() > 0.1 * whole[0].norm()


def test_the_collator_brings_the_sampled_tokens_and_masks_forced_ones() -> None:
    from selfimprove.training.trl.pairs import PairCollator

    pair = {"prompt_ids": [5, 6], "chosen_ids": [7, 8, 9, 3], "rejected_ids": [4, 3], "chosen_forced": [[1, 3]], "rejected_forced": []}
    batch = PairCollator([{}, pair], 0)([{"place": 1, "prompt_ids": [1], "chosen_ids": [1, 1], "rejected_ids": [1, 1]}])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 3], [5, 6, 4, 3, 0, 0]]
    assert batch["completion_mask"].tolist() == [[0, 0, 1, 0, 0, 1], [0, 0, 1, 1, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1] * 6, [1, 1, 1, 1, 0, 0]]


def test_forced_tokens_do_not_count(tiny_model: Path, tmp_path: Path) -> None:
    """If all tokens that differ are forced, there is nothing to prefer."""
    ids = tuple(range(10, 14))
    pairs = [
        replace(pair, chosen_token_ids=(*ids, 20, 21), rejected_token_ids=(*ids, 30, 31), chosen_forced=((4, 7),), rejected_forced=((4, 7),))
        for pair in PAIRS
    ]
    steps = fit(tiny_model, tmp_path / "out", pairs, epochs=2)
    assert {round(step.figures["margin"], 6) for step in steps} == {0.0}
    assert fit(tiny_model, tmp_path / "free", [replace(pair, chosen_forced=(), rejected_forced=()) for pair in pairs])[-1].figures["margin"] > 0.1


def test_pairs_with_a_trace_that_is_too_long_are_left_out(tiny_model: Path, tmp_path: Path) -> None:
    long = [replace(PAIRS[0], rejected="1" * 200), replace(PAIRS[0], chosen="1" * 200)]
    start = Checkpoint("base", str(tiny_model), None, 0, "", "")
    assert DPO(**QUICK).open().fitting(start, [*long, *PAIRS]) == list(range(2, 10))
    assert fit(tiny_model, tmp_path / "some", [*long, *PAIRS], epochs=1) == fit(tiny_model, tmp_path / "all", epochs=1)


def test_what_cannot_be_trained_on_is_an_error_with_a_fix(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pairs to train on"):
        fit(tiny_model, tmp_path / "out", [])
    with pytest.raises(UserError, match=r"all 1 pairs are longer than max_length=64; the shortest has \d+ tokens: raise max_length of DPO"):
        fit(tiny_model, tmp_path / "out", [replace(PAIRS[0], rejected="1" * 200)])
    with pytest.raises(UserError, match="optim"):
        DPO(engine="small", options={"optim": "sgd"}).open()
    with pytest.raises(UserError, match="DPO plans its batches itself: remove `gradient_accumulation_steps` from its options"):
        fit(tiny_model, tmp_path / "out", engine="trl", options={"gradient_accumulation_steps": 2})
    assert list(tmp_path.iterdir()) == []


def test_closing_early_stops_it(tiny_model: Path, tmp_path: Path) -> None:
    start = Checkpoint("base", str(tiny_model), None, 0, "", "")
    running = DPO(**{**QUICK, "epochs": 10_000}).open().train(start, PAIRS, tmp_path / "out", 0)
    assert (next(running).step, next(running).step) == (1, 2)
    running.close()
    assert list(tmp_path.iterdir()) == []
