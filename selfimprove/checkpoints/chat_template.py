"""Defaults for a chat template's variables, such as `enable_thinking`, written into the template itself.

Everything that reads the folder then reads the same tokens: sampling, training, evaluation, `ask`, and whoever serves an exported model. A caller
that passes the variable still overrides the default.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.chat_form import chat_form, ends_of, generation_settings, tokenizer_template
from selfimprove.checkpoints.saving import complete_folder
from selfimprove.checkpoints.soundness import encode_chats, load_tokenizer
from selfimprove.checkpoints.weights import stray_files
from selfimprove.errors import UserError
from selfimprove.records.foreign_text import read_object, read_text

TEMPLATE = "chat_template.jinja"
OWNED = frozenset({"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token", "pad_token", "unk_token"})
"""Variables that transformers sets at every call: a default for them would have no effect."""


def with_chat_template(folder: Path, variables: Mapping[str, Any], cache: Path, served: bool = False) -> Path:
    """A folder in `cache` that is the model in `folder` with these defaults in its chat template; `folder` itself if nothing has to be added.

    All files but the template and the names of end tokens are links. Weights in another format, which vLLM would
    prefer, are left out of what it serves.

    Args:
        served: whether to add what the model needs to chat, see `checkpoints.chat_form`.

    Raises:
        UserError: the model has no chat template, or its template has an error or does not read one of the variables.
    """
    tokenizer = load_tokenizer(folder) if served else None
    own = tokenizer_template(tokenizer) if served else None
    form = chat_form(folder, tokenizer) if served else None
    if served:
        encode_chats(tokenizer, [[{"role": "user", "content": "1 + 1 ="}]])
    stray = set(stray_files(folder)) if served else set()
    if not variables and not stray and (form is None or form.template == own):
        return folder
    template = with_defaults(form.template if form else _template(folder), variables) if variables else form.template if form else ""
    written = {TEMPLATE: template}
    if form and form.ends:
        known = generation_settings(folder)
        ends = [*ends_of(known, read_object(folder / "config.json")), *form.ends]
        written["generation_config.json"] = json.dumps(known | {"eos_token_id": ends}, indent=2)
    files = {file.name: file for file in sorted(folder.iterdir()) if file.is_file() and file.name not in written and file not in stray}
    state = [written, str(folder), *((name, file.stat().st_mtime_ns) for name, file in files.items())]
    ready = cache / f"{folder.name}-{hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]}"
    if not ready.exists():
        with complete_folder(ready) as half:
            half.mkdir()
            for name, file in files.items():
                (half / name).symlink_to(file.resolve())
            for name, text in written.items():
                (half / name).write_text(text, encoding="utf-8")
    return ready


def with_defaults(template: str, variables: Mapping[str, Any]) -> str:
    """The template with a line in front that sets those of the variables that the caller leaves out.

    Raises:
        UserError: transformers owns one of the variables, or the template does not read it or has an error.
    """
    from jinja2 import Environment, TemplateSyntaxError

    try:
        # Lexed rather than parsed: templates may hold tags of transformers' own.
        names = {value for _, kind, value in Environment().lex(template) if kind == "name"}
    except TemplateSyntaxError as error:
        raise UserError(f"chat_template: the model's chat template has an error in line {error.lineno}: {error.message}; correct it") from error
    for name in variables:
        if name in OWNED:
            raise UserError(f"chat_template: {name} is set at every call and takes no default; leave it out")
        if name not in names:
            raise UserError(f"chat_template: the model's chat template does not read {name}; check the name, or leave it out")
    # The line break is dropped by `trim_blocks`, with which transformers compiles templates.
    return (
        "".join(f"{{% if {name} is not defined %}}{{% set {name} = {value!r} %}}{{% endif %}}" for name, value in variables.items()) + "\n" + template
    )


def _template(folder: Path) -> str:
    if (folder / TEMPLATE).is_file():
        try:
            return read_text(folder / TEMPLATE)
        except ValueError as error:
            raise UserError(f"chat_template: {folder / TEMPLATE} {error}; copy or download the model again") from error
    file = folder / "tokenizer_config.json"
    found = read_object(file).get("chat_template") if file.is_file() else None
    if isinstance(found, list):
        found = next((one.get("template") for one in found if isinstance(one, dict) and one.get("name") == "default"), None)
    if not isinstance(found, str):
        raise UserError(f"chat_template: the model in {folder} has no chat template; leave the setting out")
    return found
