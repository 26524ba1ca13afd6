"""Hidden states of a real model, in batches."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest

from selfimprove.checkpoints.folders import describe_folder
from selfimprove.difficulty.embedder import Embedder, shared
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.records import Problem


def test_features_equal_those_of_each_prompt_read_alone(tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    questions = ["4 + 3 - 7 =", "Reason step by step, then answer: 1 + 1?", "7 - 7 =", "State the final answer: " + "4 + " * 30 + "3 ="]
    prompts = [(f"p{n}", PlainQuestion().messages(Problem(f"p{n}", question, "", "test"))) for n, question in enumerate(questions)]
    batches = list(Embedder(batch_tokens=120).open().embed(describe_folder(tiny_model, "tiny"), prompts))
    assert [len(batch) for batch in batches] == [3, 1], "short ones together, a long one by itself"
    found = dict(one for batch in batches for one in batch)

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    for name, messages in prompts:
        ids = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_tensors="pt", return_dict=False)
        with torch.no_grad():
            states = model(ids, output_hidden_states=True).hidden_states[-1][0]
        whole = torch.cat([states.mean(0), states[-1]]).numpy()
        assert found[name].dtype == numpy.float32 and found[name][-1] == ids.shape[1]
        # Computed in bfloat16 where the machine is fast at it: eight bits of mantissa, over two layers.
        assert numpy.linalg.norm(found[name][:-1] - whole) < 0.02 * numpy.linalg.norm(whole)
        other = next(features for key, features in found.items() if key != name)
        assert numpy.linalg.norm(other[:-1] - whole) > 0.1 * numpy.linalg.norm(whole)


def test_the_shared_beginning_leaves_each_prompt_a_token() -> None:
    assert shared([[1, 2, 3, 4], [1, 2, 5]]) == [1, 2]
    assert shared([[1, 2], [1, 2, 3]]) == [1] and shared([[1, 2]]) == [1]
    assert shared([[1], [1, 2]]) == shared([]) == []


@pytest.mark.parametrize("batch_tokens", [1, 100_000])
def test_every_prompt_comes_once_for_any_batch_size(tiny_model: Path, batch_tokens: int) -> None:
    prompts = [(f"p{n}", PlainQuestion().messages(Problem(f"p{n}", f"{n} + " * n + "1 =", "", "test"))) for n in range(7)]
    batches = list(Embedder(batch_tokens=batch_tokens).open().embed(describe_folder(tiny_model, "tiny"), prompts))
    assert sorted(name for batch in batches for name, _ in batch) == [name for name, _ in prompts]
    assert len(batches) == (7 if batch_tokens == 1 else 1)
