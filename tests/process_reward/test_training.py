"""A process reward model trained on labels that a tiny model can learn: good thoughts say "yes", bad ones "no"."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alive import models_alive
from one_step import DESCENT, assert_same, common, descend

from selfimprove import UserError
from selfimprove.process_reward.quality import StepQuality
from selfimprove.process_reward.reading import read
from selfimprove.process_reward.scoring import reading
from selfimprove.process_reward.step_job import StepJob
from selfimprove.process_reward.training import QUALITY, OpenRewardTrainer, RewardTrainer, require_thought_ends, split
from selfimprove.records import Checkpoint, LabelledTrace, TrainingStep

pytestmark = pytest.mark.trl

ROWS = [
    LabelledTrace(f"p{n}/g1/s{s}", f"p{n}", f"{n} + 1 =", thoughts, labels, (8, 8))
    for n in range(24)
    for s, (thoughts, labels) in enumerate(((("\nyes, so.\n", "yes.\n"), (0.9, 0.9)), (("\nyes.\n", f"no, {n}.\n"), (0.9, 0.1))))
]
QUICK: dict[str, Any] = {"batch_size": 8, "learning_rate": 3e-3, "epochs": 6, "max_length": 64, "threads": 1}


def fit(folder: Path, into: Path, rows: list[LabelledTrace] = ROWS, **settings: Any) -> list[TrainingStep]:
    start = Checkpoint("base", str(folder), None, 0, "", "")
    return list(RewardTrainer(**{**QUICK, **settings}).open().train(start, rows, into, seed=5))


def test_good_thoughts_of_unseen_problems_score_higher_than_bad_ones(tiny_model: Path, tmp_path: Path) -> None:
    from pydantic import TypeAdapter
    from safetensors.torch import load_file

    before = models_alive()
    steps = fit(tiny_model, tmp_path / "out")
    assert models_alive() == before
    assert [step.step for step in steps] == list(range(1, steps[0].steps + 1)) and steps[-1].loss < 0.7 * steps[0].loss
    quality = TypeAdapter(StepQuality).validate_json((tmp_path / "out" / QUALITY).read_text())
    assert quality.problems == 5 and quality.thoughts == 20
    assert quality.auroc is not None and quality.auroc > 0.95 and quality.brier < quality.brier_constant
    # Three in four thoughts are good. Training gives both kinds the same weight, and calibration undoes that.
    assert sum(one.observed * one.thoughts for one in quality.reliability) / 20 == pytest.approx(0.7)

    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert weights["score.weight"].shape == (1, 64) and not {"score.bias", "lm_head.weight"} & weights.keys()
    assert sorted(file.suffix for file in (tmp_path / "out").iterdir() if file.stat().st_size > 20_000) == [".safetensors"]
    known = reading(tmp_path / "out")
    assert (known.begin, known.center, known.scale) == ("<think>", quality.center, quality.scale)

    fit(tiny_model, tmp_path / "again")
    again = load_file(tmp_path / "again" / "model.safetensors")
    assert all((again[name] == tensor).all() for name, tensor in weights.items())


def test_trl_trains_with_its_own_optimizer_and_leaves_nothing_behind(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForTokenClassification

    before = models_alive()
    steps = fit(tiny_model, tmp_path / "out", engine="trl", tokens_per_device=300, activation_checkpointing=True)
    assert [step.step for step in steps] == list(range(1, 31)) and steps[-1].loss < 0.7 * steps[0].loss
    quality = json.loads((tmp_path / "out" / QUALITY).read_text())
    assert quality["auroc"] > 0.95 and reading(tmp_path / "out").scale == quality["scale"]
    assert models_alive() == before
    AutoModelForTokenClassification.from_pretrained(tmp_path / "out")


def test_a_step_in_parts_has_the_gradient_of_the_whole(tiny_model: Path) -> None:
    """Traces of different lengths with different numbers of labels, whose weights differ by kind."""
    from transformers import AutoTokenizer

    tokenizer, example = AutoTokenizer.from_pretrained(tiny_model), OpenRewardTrainer(RewardTrainer())._example
    more = replace(ROWS[0], thoughts=("\nyes, and more of it.\n", "no.\n", "yes.\n"), labels=(0.2, None, 1.0))
    examples = [example(tokenizer, row) for row in (*ROWS[:4], more)]
    own = {"remove_unused_columns": False, "include_num_input_tokens_seen": "non_padding", **DESCENT}
    whole, part = (descend(StepJob(examples=examples, positive_weight=0.3, **common(tiny_model, 5, own, tokens))) for tokens in (10_000, 120))
    assert_same(part, whole)


def test_only_labelled_thoughts_have_a_loss_and_every_token_is_counted_once(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    from selfimprove.process_reward.step_trainer import NONE, StepCollator, Weights

    tokenizer, opened = AutoTokenizer.from_pretrained(tiny_model), OpenRewardTrainer(RewardTrainer())
    short, long = replace(ROWS[1], labels=(None, 0.25)), replace(ROWS[0], thoughts=("\nyes, and more of it.\n", "no.\n"))
    batch = StepCollator(Weights(2.0))([opened._example(tokenizer, row) for row in (short, long)])
    labels, weight = batch["labels"].unbind(-1)
    assert labels[labels != NONE].tolist() == pytest.approx([0.25, 0.9, 0.9])
    # 1 for what is bad, 2 for what is good.
    assert weight.flatten().tolist() == pytest.approx([1.25 + 1.9 + 1.9] * weight.numel())
    ends = [(row, place) for row, place in (labels != NONE).nonzero().tolist()]
    assert len(ends) == 3 and all(tokenizer.decode(batch["input_ids"][row, place - 2 : place + 1]).endswith(".\n") for row, place in ends)
    assert batch["attention_mask"].sum().item() < batch["input_ids"].numel()


def test_a_problem_is_either_trained_on_or_held_out() -> None:
    learnt, kept = split(ROWS, 0.25, seed=1)
    assert len(kept) == 12 and len(learnt) == 36
    assert not {row.problem_id for row in learnt} & {row.problem_id for row in kept}
    assert split(ROWS[::-1], 0.25, seed=1)[1] == kept[::-1]
    with pytest.raises(UserError, match="labels of 1 problems"):
        split(ROWS[:2], 0.25, seed=1)


def test_positions_other_than_the_ends_of_thoughts_are_refused(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer, row = AutoTokenizer.from_pretrained(tiny_model), ROWS[0]
    ids, ends = read(tokenizer, ({"role": "user", "content": row.prompt},), "<think>", row.thoughts)
    require_thought_ends(tokenizer, row, ids, ends)
    for shifted in ([ends[0] - 2, ends[1]], [ends[0], ends[1] - 2], [ends[0] + 2, ends[1]]):
        with pytest.raises(UserError, match=r"trace p0/g1/s0: the tokens of thought"):
            require_thought_ends(tokenizer, row, ids, shifted)


def test_traces_that_are_too_long_are_left_out(tiny_model: Path, tmp_path: Path) -> None:
    long = replace(ROWS[0], trace_id="long", thoughts=("yes " * 80, "no."))
    opened, start = RewardTrainer(**QUICK).open(), Checkpoint("base", str(tiny_model), None, 0, "", "")
    assert opened.fitting(start, [long, *ROWS]) == list(range(1, 49))
    assert fit(tiny_model, tmp_path / "some", [long, *ROWS], epochs=1) == fit(tiny_model, tmp_path / "all", epochs=1)
    with pytest.raises(UserError, match="all 1 traces are longer than max_length=64"):
        fit(tiny_model, tmp_path / "out", [long])


def test_choosing_another_optimizer_is_refused() -> None:
    with pytest.raises(UserError, match="optim"):
        RewardTrainer(engine="small", options={"optim": "sgd"}).open()


def test_a_language_model_is_not_a_reward_model(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="is not a process reward model"):
        reading(tiny_model)
    assert "process_reward" not in json.loads((tiny_model / "config.json").read_text())
