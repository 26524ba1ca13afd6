"""What a model lacks to chat, added to its chat template: a place for the system message, a fixed date, an end of its turn."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfimprove.records.foreign_text import read_object, read_text

PLAIN = (
    "{% for message in messages %}{{ message['role'] | capitalize }}:\n{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:\n' }}{% endif %}"
)
"""The template of a model that has none: each turn below its role."""
FOLD = (
    "{% if messages and messages[0]['role'] == 'system' and messages | length > 1 %}"
    "{% set messages = [{'role': 'user', 'content': messages[0]['content'] + '\n\n' + messages[1]['content']}] + messages[2:] %}{% endif %}"
)
"""Moves the system message to the beginning of the first user turn."""
DAY = datetime.date(2026, 1, 1)
"""The date in templates that show one."""
SYSTEM = "4711 system"
ANSWER = "4711"

_DATE = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
_NOTE = re.compile(r"\{# selfimprove: (.*?) #\}")


@dataclass(frozen=True)
class ChatForm:
    """How a model chats."""

    template: str
    """The chat template, which begins with the notes as comments."""
    ends: tuple[int, ...] = ()
    """Ids of tokens that end a turn without the model's own configuration saying so."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was added, in a few words each."""


def chat_form(folder: Path, tokenizer: Any) -> ChatForm:
    """The chat template of a model with what it lacks. A template with an error is left as it is."""
    found, notes = tokenizer_template(tokenizer) or other_template(folder), list[str]()
    template = found
    if template is None:
        # apply_chat_template adds no special tokens of its own.
        begins = tokenizer.bos_token_id is not None and tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
        template = ("{{ bos_token }}" if begins else "") + PLAIN
        notes.append("it has no chat template and gets a plain one (`User:`, `Assistant:`)")
    if _DATE.search(template):
        template = _DATE.sub(lambda match: repr(DAY.strftime(match[2])), template)
        notes.append(f"its chat template shows the date, which is always {DAY}, so that training reads what was sampled")
    if "strftime_now(" in template:
        notes.append("its chat template shows the time in a form of its own, so that training may read other tokens than were sampled")
    if _drops_system(tokenizer, template):
        template = FOLD + template
        notes.append("its chat template takes no system message, which goes to the first user turn")
    tokenizer.chat_template = template
    ends = _missing_ends(folder, tokenizer)
    if ends:
        notes.append(f"its turns end with {', '.join(tokenizer.convert_ids_to_tokens(list(ends)))}, which stops sampling")
    return ChatForm("".join(f"{{# selfimprove: {note} #}}" for note in notes) + template, ends, tuple(notes))


def notes(folder: Path) -> list[str]:
    """What was added to the model in a folder."""
    file = folder / "chat_template.jinja"
    return _NOTE.findall(read_text(file)) if file.is_file() else []


def end_of_turn(tokenizer: Any) -> int:
    """The token that the chat template writes after an assistant's turn, such as `<|im_end|>`; the end-of-sequence token if it writes none."""
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": ANSWER}]
    after = tokenizer.apply_chat_template(chat, tokenize=False).rpartition(ANSWER)[2]
    ids = tokenizer(after, add_special_tokens=False)["input_ids"]
    return next((token for token in ids if token in tokenizer.added_tokens_decoder), int(tokenizer.eos_token_id))


def tokenizer_template(tokenizer: Any) -> str | None:
    """The template that a tokenizer uses by default; None if it has none."""
    found = tokenizer.chat_template
    return found.get("default") if isinstance(found, Mapping) else found


def other_template(folder: Path) -> str | None:
    """A template where tokenizers do not look for one: in `chat_template.json`, or the only one in `additional_chat_templates/`."""
    if (file := folder / "chat_template.json").is_file() and isinstance(found := read_object(file).get("chat_template"), str):
        return found
    several = sorted((folder / "additional_chat_templates").glob("*.jinja"))
    chosen = [file for file in several if file.stem == "default"] or several
    return read_text(chosen[0]) if len(chosen) == 1 else None


def ends_of(*configurations: Mapping[str, Any]) -> list[int]:
    """The ids of end tokens in the first of the configurations that names some."""
    named: Any = next((found for one in configurations if (found := one.get("eos_token_id")) is not None), [])
    return list(named) if isinstance(named, Sequence) else [int(named)]


def _drops_system(tokenizer: Any, template: str) -> bool:
    """Whether a template refuses a system message, or takes one and does not show it."""
    user = [{"role": "user", "content": "?"}]
    if _rendered(tokenizer, template, user) is None:
        return False
    whole = _rendered(tokenizer, template, [{"role": "system", "content": SYSTEM}, *user])
    return whole is None or SYSTEM not in whole


def _rendered(tokenizer: Any, template: str, chat: Iterable[Mapping[str, str]]) -> str | None:
    try:
        return str(tokenizer.apply_chat_template(list(chat), tokenize=False, chat_template=template, add_generation_prompt=True))
    except Exception:  # Templates raise errors of their own, and of Jinja's.
        return None


def _missing_ends(folder: Path, tokenizer: Any) -> tuple[int, ...]:
    try:
        end = end_of_turn(tokenizer)
    except Exception:  # As above; the template is refused by its name later.
        return ()
    known = [*ends_of(generation_settings(folder), read_object(folder / "config.json")), tokenizer.eos_token_id]
    return () if end in known else (end,)


def generation_settings(folder: Path) -> dict[str, Any]:
    """The content of `generation_config.json`; empty without one."""
    file = folder / "generation_config.json"
    return read_object(file) if file.is_file() else {}
