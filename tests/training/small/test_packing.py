from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from selfimprove.training.small import packing
from selfimprove.training.small.packing import pack, shared_beginning

EXAMPLES = [
    {"input_ids": [5, 6, 7, 8, 9], "labels": [-100, -100, 7, 8, 9]},
    {"input_ids": [11, 12], "labels": [-100, 12]},
    {"input_ids": [21, 22, 23, 24], "labels": [-100, 22, 23, 24]},
]


SHARED = [
    {"input_ids": [1, 2, 3, 6, 7, 8, 9], "labels": [-100, -100, -100, -100, 7, 8, 9]},
    {"input_ids": [1, 2, 3, 11, 12], "labels": [-100, -100, -100, -100, 12]},
    {"input_ids": [1, 2, 3, 6, 23, 24], "labels": [-100, -100, -100, -100, 23, 24]},
]


def test_the_shared_beginning_of_all_prompts_comes_once() -> None:
    batch = pack(SHARED)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 6, 7, 8, 9, 11, 12, 6, 23, 24]]
    assert batch["labels"].tolist() == [[-100, -100, -100, -100, 7, 8, 9, -100, 12, -100, 23, 24]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 6, 3, 4, 3, 4, 5]]
    assert batch["slots"].tolist() == [0, 1, 2, 3, 4, 5, 6, 10, 11, 17, 18, 19]
    assert (batch["grid"], batch["row_tokens"]) == ((3, 7, 3), 18)


@given(st.lists(st.tuples(st.lists(st.integers(1, 3), min_size=1, max_size=6), st.integers(0, 5)), min_size=1, max_size=4))
def test_a_row_keeps_its_last_prompt_token_and_all_tokens_with_a_loss(rows: list[tuple[list[int], int]]) -> None:
    examples = [{"input_ids": ids, "labels": [-100] * min(prompt, len(ids)) + ids[prompt:]} for ids, prompt in rows]
    shared, batch = shared_beginning(examples), pack(examples)
    assert all(example["input_ids"][:shared] == examples[0]["input_ids"][:shared] for example in examples)
    assert all(set(example["labels"][: shared + 1]) <= {-100} for example in examples) or shared == 0
    assert batch["row_tokens"] == sum(len(ids) for ids, _ in rows)
    assert batch["input_ids"].numel() == batch["row_tokens"] - shared * (len(examples) - 1)
    assert [label for label in batch["labels"][0].tolist() if label != -100] == [label for e in examples for label in e["labels"] if label != -100]


def test_rows_are_laid_end_to_end_and_have_their_own_positions() -> None:
    batch = pack(EXAMPLES)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 11, 12, 21, 22, 23, 24]]
    assert batch["labels"].tolist() == [[-100, -100, 7, 8, 9, -100, 12, -100, 22, 23, 24]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3]]
    assert batch["slots"].tolist() == [0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13]
    assert batch["grid"] == (3, 5, 0)


@pytest.mark.trl
@pytest.mark.parametrize("examples", [EXAMPLES, SHARED, EXAMPLES[:1]], ids=["nothing shared", "a shared beginning", "one row"])
@pytest.mark.parametrize("short", [packing.SHORT, 0], ids=["batched products", "fused attention"])
def test_packed_rows_give_the_gradients_of_each_row_by_itself(
    tiny_model: Path, short: int, examples: list[dict[str, list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    import selfimprove.training.small.packed_trainer  # noqa: F401 - registers the attention

    monkeypatch.setattr(packing, "SHORT", short)
    alone = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32", attn_implementation="eager")
    packed = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32", attn_implementation="packed")

    for example in examples:
        logits = alone(input_ids=torch.tensor([example["input_ids"]])).logits[0, :-1]
        F.cross_entropy(logits, torch.tensor(example["labels"][1:]), reduction="sum").backward()
    batch = pack(examples)
    labels = batch.pop("labels")
    batch.pop("row_tokens")
    F.cross_entropy(packed(**batch).logits[0, :-1], labels[0, 1:], reduction="sum").backward()

    for (name, ours), theirs in zip(packed.named_parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
