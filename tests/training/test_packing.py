from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from selfimprove.training import packing
from selfimprove.training.packing import pack

EXAMPLES = [
    {"input_ids": [5, 6, 7, 8, 9], "labels": [-100, -100, 7, 8, 9]},
    {"input_ids": [11, 12], "labels": [-100, 12]},
    {"input_ids": [21, 22, 23, 24], "labels": [-100, 22, 23, 24]},
]


def test_rows_stand_end_to_end_and_each_counts_its_own_positions() -> None:
    batch = pack(EXAMPLES)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 11, 12, 21, 22, 23, 24]]
    assert batch["labels"].tolist() == [[-100, -100, 7, 8, 9, -100, 12, -100, 22, 23, 24]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3]]
    assert batch["slots"].tolist() == [0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13]
    assert batch["grid"] == (3, 5)


@pytest.mark.trl
@pytest.mark.parametrize("short", [packing.SHORT, 0], ids=["batched products", "fused attention"])
def test_packed_rows_give_the_gradients_of_each_row_by_itself(tiny_model: Path, short: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    import selfimprove.training.packed_trainer  # noqa: F401 - registers the attention

    monkeypatch.setattr(packing, "SHORT", short)
    alone = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32", attn_implementation="eager")
    packed = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32", attn_implementation="packed")

    for example in EXAMPLES:
        logits = alone(input_ids=torch.tensor([example["input_ids"]])).logits[0, :-1]
        F.cross_entropy(logits, torch.tensor(example["labels"][1:]), reduction="sum").backward()
    batch = pack(EXAMPLES)
    labels = batch.pop("labels")
    F.cross_entropy(packed(**batch).logits[0, :-1], labels[0, 1:], reduction="sum").backward()

    for (name, ours), theirs in zip(packed.named_parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
