"""Micro-batches of GRPO without what has no part in the loss."""

from __future__ import annotations

import pytest
import torch

from selfimprove.training.lean_rows import lean_rows


def inputs(advantages: list[float]) -> dict[str, object]:
    """Three rollouts with prompts of 2, 3 and 2 tokens and completions of 1, 2 and 4, padded to 4 and 6 as TRL does it for a whole step."""
    prompt = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]])
    completion = torch.tensor([[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]])
    return {
        "prompt_ids": prompt * torch.arange(10, 14),
        "prompt_mask": prompt,
        "completion_ids": completion * torch.arange(20, 26),
        "completion_mask": completion,
        "sampling_per_token_logps": completion * -1.5,
        "advantages": torch.tensor(advantages),
        "num_items_in_batch": torch.tensor(7),
    }


def test_columns_that_are_padding_in_every_row_go() -> None:
    lean = lean_rows(inputs([0.0, 1.0, -1.0]), drop=False)
    assert lean["prompt_ids"].tolist() == [[0, 12, 13], [11, 12, 13], [0, 12, 13]]
    assert lean["completion_ids"].tolist() == [[20, 0, 0, 0], [20, 21, 0, 0], [20, 21, 22, 23]]
    assert lean["sampling_per_token_logps"].shape == lean["completion_mask"].shape == (3, 4)
    assert lean["advantages"].tolist() == [0.0, 1.0, -1.0] and lean["num_items_in_batch"].item() == 7


def test_rows_without_an_advantage_go_and_with_them_their_padding() -> None:
    lean = lean_rows(inputs([0.5, -0.5, 0.0]), drop=True)
    assert lean["completion_ids"].tolist() == [[20, 0], [20, 21]] and lean["prompt_mask"].tolist() == [[0, 1, 1], [1, 1, 1]]
    assert lean["advantages"].tolist() == [0.5, -0.5] and lean["num_items_in_batch"].item() == 7


@pytest.mark.parametrize("drop", [True, False])
def test_the_shortest_row_stays_where_none_has_an_advantage(drop: bool) -> None:
    lean = lean_rows(inputs([0.0, 0.0, 0.0]), drop)
    assert lean["completion_ids"].tolist()[0] == ([20] if drop else [20, 0, 0, 0])
    assert len(lean["advantages"]) == (1 if drop else 3)
