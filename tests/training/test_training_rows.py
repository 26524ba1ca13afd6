from pathlib import Path
from typing import Any

import pytest

from selfimprove.checkpoints.chat_form import end_of_turn
from selfimprove.records import AcceptedTrace
from selfimprove.training.rows import tokenize_row

ROW = AcceptedTrace("p/g1/s0", "p", ({"role": "user", "content": "4 + 3 ="},), "<think>\n4 + 3 = 7.\n</think>\n7", "sampled", 1)


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def test_the_prompt_is_what_the_sampler_is_given(tokenizer: Any) -> None:
    prompt, _ = tokenize_row(tokenizer, ROW)
    assert tokenizer.decode(prompt) == "<|im_start|>user\n4 + 3 =<|im_end|>\n<|im_start|>assistant\n"
    assert prompt == tokenizer.apply_chat_template(list(ROW.messages), add_generation_prompt=True, return_dict=False)


def test_the_completion_ends_with_the_end_of_turn_and_nothing_after_it(tokenizer: Any) -> None:
    _, completion = tokenize_row(tokenizer, ROW)
    assert tokenizer.decode(completion) == ROW.completion + "<|im_end|>"
    assert completion.count(tokenizer.eos_token_id) == 1


def test_the_end_of_turn_is_the_templates_token_even_where_the_end_of_sequence_is_another(tokenizer: Any) -> None:
    assert tokenizer.convert_ids_to_tokens(end_of_turn(tokenizer)) == "<|im_end|>"
    tokenizer.eos_token = "<|endoftext|>"
    try:
        assert tokenizer.convert_ids_to_tokens(end_of_turn(tokenizer)) == "<|im_end|>"
    finally:
        tokenizer.eos_token = "<|im_end|>"


def test_the_end_of_sequence_stands_in_where_the_template_ends_a_turn_with_text(tokenizer: Any) -> None:
    template = tokenizer.chat_template
    tokenizer.chat_template = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    try:
        assert end_of_turn(tokenizer) == tokenizer.eos_token_id
    finally:
        tokenizer.chat_template = template
