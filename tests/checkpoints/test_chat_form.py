"""Models whose chat templates are trouble: without one, without a system role, with a date, with an end of turn that does not stop sampling."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from selfimprove import PlainQuestion
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.chat_form import DAY, end_of_turn, notes
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.checkpoints.saving import save_checkpoint
from selfimprove.checkpoints.soundness import load_tokenizer
from selfimprove.records import AcceptedTrace, Problem, Request
from selfimprove.sampling.prompts import thinking_begun
from selfimprove.training.rows import tokenize_prompt, tokenize_row

CHAT = PlainQuestion("Think.").messages(Problem("p", "4 + 3 =", "7", "test"))
TURNS = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
OPEN = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
GEMMA = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TURNS + OPEN
DROPPING = "{% for message in messages if message['role'] != 'system' %}" + TURNS.partition("%}")[2] + OPEN
DATED = "{% if strftime_now is defined %}Today is {{ strftime_now('%d %b %Y') }}, {{ strftime_now(\"%Y\") }}.\n{% endif %}" + TURNS + OPEN
WITH_BOS = "{{ bos_token }}" + TURNS + OPEN
FINAL = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "{{ '<|im_end|>' if loop.last and message['role'] == 'assistant' else '<|endoftext|>' }}{% endfor %}" + OPEN
)
"""As gpt-oss: the last turn of the assistant ends unlike earlier ones."""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tiny_model import make_tiny_model

    monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / "cache"))
    return make_tiny_model(tmp_path / "model")


def with_template(model: Path, template: str | None) -> Path:
    (model / "chat_template.jinja").unlink()
    if template is not None:
        (model / "chat_template.jinja").write_text(template)
    return resolve_model(str(model), served=True)


def shown(folder: Path, chat: Any = CHAT) -> str:
    tokenizer = load_tokenizer(folder)
    return str(tokenizer.decode(tokenize_prompt(tokenizer, chat)))


def test_a_template_that_lacks_nothing_is_used_as_it_is(model: Path) -> None:
    assert with_template(model, TURNS + OPEN) == model and notes(model) == []


@pytest.mark.parametrize("template", [GEMMA, DROPPING])
def test_the_system_message_goes_to_the_first_user_turn_where_a_template_takes_none(model: Path, template: str) -> None:
    folder = with_template(model, template)
    assert shown(folder) == "<|im_start|>user\nThink.\n\n4 + 3 =<|im_end|>\n<|im_start|>assistant\n"
    assert notes(folder) == ["its chat template takes no system message, which goes to the first user turn"]
    assert shown(folder, CHAT[1:]) == "<|im_start|>user\n4 + 3 =<|im_end|>\n<|im_start|>assistant\n", "without one nothing changes"
    assert resolve_model(str(folder), served=True) == folder, "what was added once is not added again"


def test_a_model_without_a_template_gets_a_plain_one(model: Path) -> None:
    folder = with_template(model, None)
    assert shown(folder) == "System:\nThink.\n\nUser:\n4 + 3 =\n\nAssistant:\n"
    assert notes(folder) == ["it has no chat template and gets a plain one (`User:`, `Assistant:`)"]
    assert end_of_turn(load_tokenizer(folder)) == load_tokenizer(folder).eos_token_id


@pytest.mark.parametrize("place", ["chat_template.json", "additional_chat_templates/default.jinja", "additional_chat_templates/only.jinja"])
def test_a_template_is_found_where_tokenizers_do_not_look(model: Path, place: str) -> None:
    (model / place).parent.mkdir(exist_ok=True)
    text = TURNS + OPEN
    (model / place).write_text(json.dumps({"chat_template": text}) if place.endswith("json") else text)
    folder = with_template(model, None)
    assert shown(folder).startswith("<|im_start|>system\nThink.<|im_end|>") and notes(folder) == []


def test_a_template_in_the_tokenizers_configuration_is_used(model: Path) -> None:
    file = model / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": TURNS + OPEN}))
    assert with_template(model, None) == model and shown(model).startswith("<|im_start|>system\nThink.")


def test_a_date_is_the_same_on_every_day(model: Path) -> None:
    folder = with_template(model, DATED)
    assert shown(folder).startswith(f"Today is {DAY:%d %b %Y}, {DAY:%Y}.\n") and "always 2026-01-01" in notes(folder)[0]


def test_a_run_that_goes_on_another_day_reads_the_same_tokens(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.utils import chat_template_utils

    folder = with_template(model, DATED)
    before = describe_folder(folder, "base"), shown(folder)
    plain, dated = load_tokenizer(model), load_tokenizer(folder)

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Later:
            return cls(2031, 5, 6)

    monkeypatch.setattr(chat_template_utils, "datetime", Later)
    chat_template_utils._compile_jinja_template.cache_clear()
    assert "06 May 2031" in plain.decode(tokenize_prompt(plain, CHAT)) and "2031" not in dated.decode(tokenize_prompt(dated, CHAT))
    again = resolve_model(str(model), served=True)
    assert again == folder and (describe_folder(again, "base"), shown(again)) == before


def test_a_time_in_a_form_of_its_own_is_told(model: Path) -> None:
    assert "may read other tokens" in notes(with_template(model, "{% set form = '%H:%M' %}{{ strftime_now(form) }}" + TURNS + OPEN))[0]


def test_a_template_with_the_first_token_does_not_repeat_it(model: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    begins = Tokenizer.from_file(str(model / "tokenizer.json"))
    begins.post_processor = TemplateProcessing(single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)])
    begins.save(str(model / "tokenizer.json"))
    file = model / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"add_bos_token": True}))
    tokenizer = load_tokenizer(folder := with_template(model, WITH_BOS.replace("<|im_start|>", ">")))
    assert tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id, "it begins every text with the token"
    assert tokenize_prompt(tokenizer, CHAT).count(tokenizer.bos_token_id) == 1
    (folder / "chat_template.jinja").unlink()
    plain = load_tokenizer(resolve_model(str(folder), served=True))
    assert tokenize_prompt(plain, CHAT).count(plain.bos_token_id) == 1, "nor does the plain template of ours"


@pytest.mark.parametrize(("opening", "begun"), [("<think>\n", (True, "")), ("<think>\n\n</think>\n\n", (False, "")), ("", (False, ""))])
def test_a_block_of_thinking_that_the_template_opens_is_begun_and_trained_as_it_was_sampled(opening: str, begun: object, model: Path) -> None:
    folder = with_template(model, TURNS + OPEN.replace("assistant\n", "assistant\n" + opening))
    tokenizer, request = load_tokenizer(folder), Request("r", "p", CHAT, 1.0, 1.0, 9, 0)
    prompt = tokenize_prompt(tokenizer, CHAT)
    assert shown(folder).endswith("assistant\n" + opening) and thinking_begun(tokenizer, prompt, request) == begun
    written = tokenizer("x\n</think>\n7<|im_end|>", add_special_tokens=False)["input_ids"]
    row = AcceptedTrace("t", "p", CHAT, "x\n</think>\n7", "sampled", 1, tuple(written))
    assert tokenize_row(tokenizer, row) == (prompt, written)


def with_other_end(model: Path, end: int | list[int], token: str = "<|endoftext|>") -> None:
    """Give the model's configuration this end of sequence, and its tokenizer this token."""
    for name in ("config.json", "generation_config.json"):
        (model / name).write_text(json.dumps(json.loads((model / name).read_text()) | {"eos_token_id": end}))
    file = model / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token": token}))


@pytest.mark.parametrize(("end", "ends"), [(0, [0, 2]), ([0, 1], [0, 1, 2])])
def test_the_end_of_a_turn_stops_sampling_and_is_kept_by_saving(model: Path, tmp_path: Path, end: int | list[int], ends: list[int]) -> None:
    from transformers import AutoModelForCausalLM, GenerationConfig

    with_other_end(model, end)
    folder = with_template(model, TURNS + OPEN)
    assert notes(folder) == ["its turns end with <|im_end|>, which stops sampling"]
    assert GenerationConfig.from_pretrained(folder).eos_token_id == ends
    save_checkpoint(AutoModelForCausalLM.from_pretrained(folder), folder, tmp_path / "saved")
    assert GenerationConfig.from_pretrained(tmp_path / "saved").eos_token_id == ends
    assert end_of_turn(load_tokenizer(tmp_path / "saved")) == 2 and notes(tmp_path / "saved") == notes(folder)
    assert json.loads((model / "generation_config.json").read_text())["eos_token_id"] == end, "the model itself stays as it is"


def test_without_a_generation_configuration_the_models_own_end_is_kept(model: Path) -> None:
    from transformers import GenerationConfig

    with_other_end(model, 0)
    (model / "generation_config.json").unlink()
    assert GenerationConfig.from_pretrained(with_template(model, TURNS + OPEN)).eos_token_id == [0, 2]


def test_training_teaches_the_end_of_the_last_turn(model: Path) -> None:
    folder = with_template(model, FINAL)
    row = AcceptedTrace("t", "p", CHAT, "<think>\nx\n</think>\n7", "sampled", 1)
    assert tokenize_row(load_tokenizer(folder), row)[1][-1] == end_of_turn(load_tokenizer(folder)) == 2


def test_a_template_with_an_error_is_named(model: Path) -> None:
    from selfimprove import UserError

    with pytest.raises(UserError, match=r"chat_template\.jinja cannot be used: .*; correct the chat template"):
        with_template(model, "{{ raise_exception('never') }}")
