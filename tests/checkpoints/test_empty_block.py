"""The empty block is, token for token, what budget forcing writes and what a chat template's switch adds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_model import CHAT_TEMPLATE, SWITCHED_TEMPLATE

from selfimprove.checkpoints.chat_template import with_defaults
from selfimprove.checkpoints.empty_block import forced_block, require_switchable, switched_block
from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace
from selfimprove.records.budgets import Budget
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.selection.direct import direct_rows
from selfimprove.thinking.forcing import Forcing, Vocabulary, Writing
from selfimprove.training.rows import tokenize_row

PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
OPENS = CHAT_TEMPLATE.replace(
    PROMPT, PROMPT + "{{ '<think>' }}{% if enable_thinking is defined and not enable_thinking %}{{ '</think>' }}{% endif %}"
)
ELSEWHERE = "{% if enable_thinking is defined and not enable_thinking %}{{ '/no_think ' }}{% endif %}" + SWITCHED_TEMPLATE
MESSAGES = [{"role": "user", "content": "1 + 1 ="}]


@pytest.fixture
def saved(tiny_model: Path, tmp_path: Path) -> Any:
    from transformers import AutoTokenizer

    def save(template: str, special: bool = False) -> tuple[Path, Any]:
        tokenizer = AutoTokenizer.from_pretrained(tiny_model)
        tokenizer.chat_template = template
        if special:
            tokenizer.add_tokens(["<think>", "</think>"], special_tokens=True)
        tokenizer.save_pretrained(tmp_path)
        (tmp_path / "config.json").write_text((tiny_model / "config.json").read_text())
        return tmp_path, tokenizer

    return save


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("marks", [THINK, Delimiters("<reason>\n", "\n</reason>")])
@pytest.mark.parametrize("special", [True, False])
def test_it_is_what_a_budget_of_no_tokens_writes(saved: Any, special: bool, marks: Delimiters, opened: bool) -> None:
    folder, tokenizer = saved(CHAT_TEMPLATE, special)
    writing, wrote = Writing(Forcing(Budget(max_tokens=0), marks, Vocabulary.of(tokenizer, [2])), opened), list[int]()
    while (token := writing.next) is not None:
        writing.read(token)
        wrote.append(token)
    block = forced_block(folder, marks, opened)
    assert block.token_ids == tuple(wrote) and block.text == tokenizer.decode(wrote) == ("" if opened else marks.begin) + marks.end


def test_it_is_what_the_templates_switch_adds_to_the_prompt(saved: Any) -> None:
    folder, tokenizer = saved(SWITCHED_TEMPLATE, special=True)
    on, off = (
        list(tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_dict=False, enable_thinking=way)) for way in (True, False)
    )
    block = switched_block(folder)
    assert block is not None and on + list(block.token_ids) == off and block.text == "<think>\n\n</think>\n\n"
    # A row that begins with it is the prompt with thinking switched off, and the answer.
    trace = AcceptedTrace("t", "p", tuple(MESSAGES), "<think>\n1 + 1 = 2.\n</think>\n\n2", "sampled", 1)
    (row,) = direct_rows([trace], 1, THINK, lambda opened: [block], lambda text: tokenizer.encode(text, add_special_tokens=False), 0)
    prompt, completion = tokenize_row(tokenizer, row)
    assert prompt + completion == off + tokenizer.encode("2<|im_end|>", add_special_tokens=False)
    assert tokenize_row(tokenizer, replace(row, completion_token_ids=None)) == (prompt, completion), "its text reads the same"


def test_a_switch_that_only_ends_what_the_prompt_opened_is_the_forced_end(saved: Any) -> None:
    folder, _ = saved(OPENS)
    assert switched_block(folder) == forced_block(folder, THINK, opened=True)


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, ELSEWHERE])
def test_a_template_without_a_switch_or_with_one_that_changes_the_question_has_no_block(saved: Any, template: str) -> None:
    folder, _ = saved(template)
    assert switched_block(folder) is None
    require_switchable(folder, THINK)


def test_a_template_that_ends_the_thinking_in_every_prompt_is_refused(saved: Any) -> None:
    folder, _ = saved(with_defaults(SWITCHED_TEMPLATE, {"enable_thinking": False}))
    with pytest.raises(UserError, match=r"ends every prompt with </think>; leave enable_thinking out of chat_template"):
        require_switchable(folder, THINK)
